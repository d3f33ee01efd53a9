"""Rows into tables, one transaction a commit."""
