"""Whether the answers are right, and what trouble with Redis costs, beside langchain-redis."""
