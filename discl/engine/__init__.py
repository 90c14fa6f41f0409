"""The bank, the sampler, the training loop and the metrics.

Parts are passed in; none is imported by name.
"""
