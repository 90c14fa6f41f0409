"""The bank of guidance-level images: making, storing, exchanging."""
