"""Backbones: classifiers to train."""
