"""Banks of this machine: inventory, removal, and the quality of their images."""
