"""Scaling: the figures by which pods become more and fewer."""
