"""Trains a small GPT, byte by byte, on text that comes with Python."""
