"""Benchmark and sweep files: TOML in, checked settings out. Imports nothing slow."""
