"""What the performance and the correctness tables share."""
