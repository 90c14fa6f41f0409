"""Many runs: which, at what price, by how many workers."""
