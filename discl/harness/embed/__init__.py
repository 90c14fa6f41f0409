"""One word a class, learned from the photos that images are made from."""
