"""One run: its parts, its execution and its record."""
