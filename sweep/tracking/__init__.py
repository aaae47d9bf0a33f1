"""The journal's projections: MLflow runs and an Optuna study, in SQLite or PostgreSQL, or on a tracking server.

Nothing is imported here: MLflow takes seconds to import, and `dashboard` needs it only in its own process.
"""
