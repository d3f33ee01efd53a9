"""Compositions: the service, its monitor, the preflight, inference."""
