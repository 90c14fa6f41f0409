"""Whether the order of the levels matters."""
