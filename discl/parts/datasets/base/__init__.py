"""What datasets of files have in common: layouts, lists, tables, long tails."""
