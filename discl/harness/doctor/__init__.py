"""Checks of this machine, each with the way out."""
