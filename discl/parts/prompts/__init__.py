"""Prompts: what images are made from, and what they are judged by."""
