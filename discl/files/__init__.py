"""Bytes in and out: atomic writing, fetching, photo files. Knows nothing of curricula."""
