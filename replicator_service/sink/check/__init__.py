"""Read-only checks of PostgreSQL before a start."""
