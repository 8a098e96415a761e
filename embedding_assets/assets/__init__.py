"""The assets: thin shells round the pure functions of the other modules."""
