"""Single-flight, shared streams, pools: what runs at the same time."""
