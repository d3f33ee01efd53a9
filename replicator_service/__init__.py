"""Exact, continuous replication of a MongoDB database into PostgreSQL."""
