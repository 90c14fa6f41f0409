"""Miniatures of datasets in their exact layouts, one module each: `make(folder, images, rng)`."""
