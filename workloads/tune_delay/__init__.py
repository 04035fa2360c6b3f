"""Tunes the delay classifier with Optuna on PostgreSQL, in several pods."""
