"""Cards and tables for people: notebook, terminal."""
