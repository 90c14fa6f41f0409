"""Datasets: labelled photos in named splits."""
