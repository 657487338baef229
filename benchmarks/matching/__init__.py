"""How often reuse by meaning is right, measured on labelled pairs."""
