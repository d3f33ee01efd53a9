"""What the service knows of itself, in memory."""
