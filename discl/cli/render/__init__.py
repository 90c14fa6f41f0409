"""Tables, pages and progress as the terminal shows them."""
