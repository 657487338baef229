"""The project's own comparisons with floors and peers; not shipped."""
