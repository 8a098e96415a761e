"""Which version is better, and what changed between two."""
