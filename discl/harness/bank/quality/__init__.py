"""The quality of a bank's images, measured and reported."""
