-- One row a tweet and a word in it: how often.
WITH written AS (
    SELECT tweet_id, unnest(words) AS word FROM tokens
)
SELECT tweet_id AS key, word AS feature, CAST(count(*) AS DOUBLE) AS weight
FROM written
GROUP BY tweet_id, word
ORDER BY key, feature
