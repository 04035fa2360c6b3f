"""Sends requests at times set beforehand, and measures from those times."""
