"""W&B sync: uploads what a run's folder records, while the run is going or later."""
