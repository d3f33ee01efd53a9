"""Log lines for people and programs."""
