"""Layouts of own photos that the dataset `folder` reads."""
