"""Searches that travel: export to CSV, parquet or JSON, and import of those, of foreign tables and Optuna studies."""
