"""Parts of each kind a package may add, one file each."""
