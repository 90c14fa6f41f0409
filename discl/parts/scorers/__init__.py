"""Scorers: how well an image fits its caption and its photo."""
