"""Executors: where work is done."""
