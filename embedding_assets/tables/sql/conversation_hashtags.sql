-- (context, contributor, key): the hashtags of a conversation, each with who wrote it.
SELECT conversation_id AS context, user_id AS contributor, unnest(hashtags) AS key
FROM tokens
