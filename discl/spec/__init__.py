"""Words, promises and identities: what everything else agrees on. Imports neither torch nor anything slow."""
