"""W&B as a mirror: one path from a run's folder to W&B, taken live by `following` and later by
`syncing`.
"""
