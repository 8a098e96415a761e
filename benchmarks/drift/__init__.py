"""What changes from week to week: neighbours and similarities of words, and how well old versions still serve."""
