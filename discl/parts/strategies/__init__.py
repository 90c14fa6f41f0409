"""Strategies: which guidance level is trained on when. Baselines are strategies too."""
