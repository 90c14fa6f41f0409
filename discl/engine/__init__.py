"""Does the work with the parts it is handed: the bank, the sampler, the training loop, the metrics.

Names no part.
"""
