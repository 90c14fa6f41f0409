"""Metrics: one number about the predictions on a split, with its definition."""
