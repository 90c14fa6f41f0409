"""diffusers' own pipelines, called as they are."""
