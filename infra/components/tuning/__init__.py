"""The search for settings: Optuna's dashboard over the database of studies."""
