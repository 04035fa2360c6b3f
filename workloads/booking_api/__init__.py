"""Quotes for passengers whose flight may be late: an application that uses a model served apart from it."""
