"""The files of a folder: walked, told apart by kind, and found by what lists call them."""
