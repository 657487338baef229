"""The commands around `aegis_llm.bootstrap`: read arguments, call, and show."""
