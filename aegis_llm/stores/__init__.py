"""Where entries are kept: Redis, a private Redis, memory, and the in-process copy."""
