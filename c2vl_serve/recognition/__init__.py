"""Recognition: a bundle and a runtime turn a SkeletonSequence into actions."""
