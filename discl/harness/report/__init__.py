"""The report of a benchmark: one HTML page, and figures for papers."""
