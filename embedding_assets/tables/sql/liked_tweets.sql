-- (context, contributor, key): the tweets that a user liked.
SELECT user_id AS context, user_id AS contributor, tweet_id AS key
FROM engagements
SEMI JOIN kinds ON kinds.kind = engagements.kind
WHERE tweet_id IS NOT NULL
