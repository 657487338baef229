"""`aegis-llm ui`: the local page."""
def ui() -> None:
    """x"""
