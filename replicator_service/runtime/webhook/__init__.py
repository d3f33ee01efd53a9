"""Tells another program what a person should know: what is told, and how it gets there. Never in the service's way."""
