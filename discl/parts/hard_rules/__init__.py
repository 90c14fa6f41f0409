"""Hard rules: which training photos images are made from."""
