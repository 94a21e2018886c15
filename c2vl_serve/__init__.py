"""c2vl-serve."""
