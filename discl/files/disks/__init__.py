"""Disks that refuse, and what the killed leave on them.

- errors.py: which errors say that a disk is full, limited or not to be written, as sentences.
- leftovers.py: unfinished files and folders, and whether anybody is still at work on them.
"""
