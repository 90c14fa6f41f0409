"""The photos of the embedded benchmarks: CIFAR-10, its corruptions and its cameras."""
