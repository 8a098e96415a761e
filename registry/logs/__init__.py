"""What exists and what it is called: numbered logs of sealed records, and what they say."""
