"""Trains a classifier that says, at departure, whether a flight will arrive more than 15 minutes late."""
