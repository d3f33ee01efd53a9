"""What that means: states in words, notices, probes."""
