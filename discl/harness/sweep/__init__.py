"""Many runs: expanding sweep files, estimating costs, and running with several workers."""
