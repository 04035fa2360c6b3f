"""Queueing by quota: Kueue."""
