"""Services over HTTP: optuna-dashboard, for this machine alone."""
