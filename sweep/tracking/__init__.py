"""MLflow as a projection of the journal: one parent run per sweep, one child run per trial.

Nothing is imported here: MLflow takes seconds to import, and `dashboard` needs it only in its own process.
"""
