"""Watches whether new flights, and a model's predictions on them, are still like those it was trained on."""
