"""Trackers: they record or display a run."""
