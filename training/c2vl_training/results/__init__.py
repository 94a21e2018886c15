"""The table of docs/results.md: which rows there are, how each is made, how it is printed."""
