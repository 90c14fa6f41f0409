"""Which training photos are hard: those that images are made for."""
