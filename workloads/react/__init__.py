"""Answers alerts by a policy: the objects and settings. Its program is the package `react`."""
