"""Brings the records of version 0.1 to this version."""
