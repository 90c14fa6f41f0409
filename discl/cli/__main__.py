"""`python -m discl.cli`."""

from discl.cli import main

main()
