"""Tells Prometheus what the driver says of GPUs."""
