"""Base of executors: the worker that answers items, and the queue that counts lost workers."""
