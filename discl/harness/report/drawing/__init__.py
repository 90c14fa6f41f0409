"""How charts of the report are drawn: marks, axes, names beside them, colours and shapes."""
