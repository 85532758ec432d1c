"""Objectives of the user's own: a Python function, a command, an estimator."""
