"""Benchmark and sweep files: TOML in, checked settings out. As light as core."""
