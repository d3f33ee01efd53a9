"""Read-only checks of MongoDB before a start."""
