"""Readers of skeleton sets: files as they are published or as you have them, to recordings."""
