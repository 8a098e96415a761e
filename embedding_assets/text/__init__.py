"""Tweets to words: entities, tokens, conversations and phrases. Arrow tables in, Arrow tables out."""
