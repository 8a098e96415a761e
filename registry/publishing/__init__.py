"""A draft is checked, cut and written."""
