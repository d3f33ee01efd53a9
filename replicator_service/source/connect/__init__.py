"""The driver's client: how MongoDB is reached, and why it is not."""
