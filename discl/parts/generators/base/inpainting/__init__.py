"""Which part of a photo is repainted, and how the rest is kept."""
