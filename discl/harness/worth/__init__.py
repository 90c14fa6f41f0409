"""What a guidance level is worth to a classifier that is trained on it."""
