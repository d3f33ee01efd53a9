"""A model of MongoDB: its history, its catalog, its change stream, and what of them a client may see."""
