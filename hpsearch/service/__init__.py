"""The service: a page, an HTTP API, the Optuna dashboard, and a queue of jobs over a study database."""
