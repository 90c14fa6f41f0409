"""Scorers: does an image show what its caption says?"""
