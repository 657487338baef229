"""What the scheduler gives, against what people use: batch(), asyncio.gather, a semaphore."""
