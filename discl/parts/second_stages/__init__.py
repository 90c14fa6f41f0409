"""Second stages: what becomes of a trained classifier while its features stay."""
