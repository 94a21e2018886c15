"""Export: a checkpoint in, a bundle out that every runtime must reproduce."""
