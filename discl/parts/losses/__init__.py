"""Losses: what a training step minimises."""
