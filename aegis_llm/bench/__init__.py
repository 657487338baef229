"""Measures an Ollama, straight and through the package, and says how sure each figure is."""
