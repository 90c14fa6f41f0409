"""A pretended GPU: tensors that say `cuda:0` and hold their values on the CPU.

It shows what a real one would refuse (devices or types that do not fit together), and counts what
would slow a real one down: the host's waits for the device, and uploads from pageable memory. It
cannot show kernels' rounding and non-determinism, memory, speed, or more than one device.

A process that pretends does so from before its first `import torch` on:
`python -m tests.pretended_gpu.session` runs cases in such a process.
"""
