"""Comparing and repairing tables."""
