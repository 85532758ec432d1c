"""The built-in network as an objective: everything that only it knows."""
