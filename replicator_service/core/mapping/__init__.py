"""What a collection becomes in PostgreSQL: the model, how a mapping file is read, and how it is checked."""
