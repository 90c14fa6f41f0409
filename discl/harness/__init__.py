"""Runs experiments, stores their results, compares them: the part that uses disk, time and git."""
