"""The local page of `aegis-llm ui`; needs the extra `ui`, so nothing is imported here."""
