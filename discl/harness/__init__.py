"""Time, disk and git: runs experiments, keeps their results, compares them."""
