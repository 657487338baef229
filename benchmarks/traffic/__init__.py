"""A stream of requests with repeats, rewordings and look-alikes, played to several policies."""
