"""Objectives: what representation learning pulls together, one file an idea, with its equations."""
