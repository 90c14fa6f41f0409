"""Results compared over seeds: the table, its statistics, and what is published."""
