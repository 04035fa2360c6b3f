"""Serving of models: KServe."""
