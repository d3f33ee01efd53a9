"""Indexes that the mapping asks for: made beside the commits, when their tables are filled."""
