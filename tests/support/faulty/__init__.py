"""Faults: a small search is run by the command line's own code, something breaks, and what is left is looked at."""
