"""How long versions stay, what an alias names, and what must go."""
