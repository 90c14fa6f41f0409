"""Weights of networks on disk: our own, with a seal, and those of others."""
