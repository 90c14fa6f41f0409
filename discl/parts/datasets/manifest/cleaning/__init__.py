"""What cells of a list mean: spelling, gaps, and several labels in one."""
