"""How the embedded generator and scorer were made: small networks trained on the pool of CIFAR-10,
and on nothing else.
"""
