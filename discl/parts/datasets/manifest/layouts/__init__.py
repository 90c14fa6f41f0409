"""The layouts of labelled photos that are read, a file for each."""
