"""One table of a user's photos, whatever their layout: read, cleaned, cut into splits, stored."""
