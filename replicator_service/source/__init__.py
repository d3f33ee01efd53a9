"""MongoDB: the only package that imports its driver. Knows nothing of PostgreSQL."""
