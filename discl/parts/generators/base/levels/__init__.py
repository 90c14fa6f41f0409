"""How much of a photo survives where a level begins."""
