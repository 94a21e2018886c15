"""The HTTP service: bodies in, answers and problems out; recognition and pose do the work."""
