"""Banks of this machine: what they hold, what may go, how good their images are."""
