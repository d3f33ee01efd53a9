"""What surrounds the loop: health, metrics, logging, failpoints. Knows no database."""
