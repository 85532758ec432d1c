"""What a search has taught so far, and what to do next, in words."""
