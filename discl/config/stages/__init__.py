"""Stages before a run that several runs share, as a benchmark describes them."""
