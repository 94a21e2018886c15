"""Skeletons as plain numpy: layouts, sequences, conversion, streams, the one preprocessing."""
