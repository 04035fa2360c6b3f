"""MLflow: the record of experiments, and the registry of models."""
