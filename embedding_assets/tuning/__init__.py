"""The search for better settings: what may be tried, a study that tries it, and the file that it proposes."""
