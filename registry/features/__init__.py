"""Feature sets beside the vectors, and the point-in-time join."""
