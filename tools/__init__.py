"""What makes parts of the documentation from the code and from the measured figures."""
