"""The session with PostgreSQL: how it is opened, kept and lost."""
