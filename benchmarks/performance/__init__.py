"""How fast it is, beside the floor of every figure."""
