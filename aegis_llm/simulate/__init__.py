"""Planning without a server: discrete events, no waiting, the same result for the same seed."""
