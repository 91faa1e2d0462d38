"""Tables of results: a grid of runs, trained and measured with one command, and written side by side."""
