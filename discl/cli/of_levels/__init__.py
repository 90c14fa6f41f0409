"""Commands about levels: what each is worth, and whether their order matters."""
