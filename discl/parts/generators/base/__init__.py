"""What families of diffusion checkpoints share: loading, batching, and the way down the grid."""
