"""Vectors of new entities from weighted features, and what carries them elsewhere."""
