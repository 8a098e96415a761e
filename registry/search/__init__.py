"""Nearest keys: the plan, the exact scan and the indexes."""
