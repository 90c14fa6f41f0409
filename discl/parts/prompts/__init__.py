"""Prompts: captions that images are made from and scored against."""
