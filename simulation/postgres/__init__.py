"""A model of PostgreSQL: transactions, savepoints, locks and sessions, and what the sink keeps in it."""
