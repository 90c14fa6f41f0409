"""Base of trackers: what the terminal shows of work under way."""
