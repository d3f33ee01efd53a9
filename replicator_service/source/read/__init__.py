"""What is read from MongoDB: the stream, documents at a cluster time, its catalog and clock."""
