"""The service's own tables: position, lease, collections, requests, dead letters."""
