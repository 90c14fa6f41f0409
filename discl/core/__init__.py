"""What everything else agrees on: interfaces, identities, levels, errors.

Imports neither torch nor anything slow.
"""
