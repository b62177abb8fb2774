"""One HTML file of saved runs: which variant to take, what that rests on, and every record."""
