"""Bytes in and out: atomic writing, fetching, photo files. Independent of curricula."""
