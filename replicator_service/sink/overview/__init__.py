"""What PostgreSQL knows of a stream, for people."""
