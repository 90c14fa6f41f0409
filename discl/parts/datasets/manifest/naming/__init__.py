"""Names of classes that lists and folders number, from files beside them."""
