"""Training of the embedded generator and scorer: small networks, on the pool of CIFAR-10."""
