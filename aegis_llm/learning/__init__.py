"""Learning from the cache's own traffic: bounds, labels, pairs of questions, judging. Pure."""
