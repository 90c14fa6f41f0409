"""Generators: images between text and photo."""
