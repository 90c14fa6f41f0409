"""Interfaces, identities, levels and errors: what all other packages share.

Imports neither torch nor anything slow.
"""
