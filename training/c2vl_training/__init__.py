"""Training: skeleton sets in, a checkpoint out. Only this package and export know torch."""
