"""Settings and the mapping file: what a person has written, read once."""
