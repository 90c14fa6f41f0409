"""Lists beside photos: read as text, their columns found, their rows made rows of a manifest."""
