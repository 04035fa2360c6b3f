"""Moves a model's traffic to the version that earns most."""
