"""Optuna studies: what is tried next, where it is kept, what it bought."""
