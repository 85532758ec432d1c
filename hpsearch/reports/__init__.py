"""Reports: tables, figures, and a page about a search."""
