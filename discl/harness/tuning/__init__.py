"""Optuna studies: proposals, storage, and the gain from tuning."""
