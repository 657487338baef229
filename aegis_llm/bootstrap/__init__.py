"""Prepares a machine for RAG on Ollama: finds out, advises, writes, applies and verifies."""
