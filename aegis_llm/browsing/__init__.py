"""Looking at what is stored in a namespace: a page at a time, whatever its size."""

from aegis_llm.browsing.browser import Browser
from aegis_llm.browsing.counting import Stock
from aegis_llm.browsing.lines import Header
from aegis_llm.browsing.moving import Imported
from aegis_llm.browsing.values import Page, Seen

__all__ = ["Browser", "Header", "Imported", "Page", "Seen", "Stock"]
