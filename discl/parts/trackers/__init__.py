"""Trackers: who watches a run."""
