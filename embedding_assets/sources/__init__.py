"""Where raw events come from: files (`files`) or the synthetic Twitter (`synthetic`)."""
