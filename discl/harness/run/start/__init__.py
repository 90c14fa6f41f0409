"""The weights that every strategy of a seed begins from: made once, or somebody's checkpoint."""
