"""Shared by families of diffusion checkpoints: loading, batching, the loop over timesteps."""
