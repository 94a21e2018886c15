"""Knowledge: sentences about clips, and their embeddings; made once, offline, kept in files."""
