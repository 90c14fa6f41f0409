"""Predictions, confusion counts, and the metrics made from them."""
