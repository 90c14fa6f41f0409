"""What a comparison costs on a GPU that is not here: FLOPs, seconds, memory, disk and money."""
