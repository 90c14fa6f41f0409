"""Settings that belong together, by one name."""
