-- (source, destination, weight): a user, a word, and in how many tweets that the user wrote or liked the word is,
-- each weighed by how the user met it (in several ways: by the largest weight), at most $max_weight.
-- Likes of tweets of earlier weeks find no words here.
WITH met AS (
    SELECT user_id, tweet_id, $own AS weight FROM tokens WHERE $own > 0
    UNION ALL
    SELECT user_id, tweet_id, kinds.weight FROM engagements JOIN kinds ON kinds.kind = engagements.kind
),
once AS (
    SELECT user_id, tweet_id, CAST(max(weight) AS DOUBLE) AS weight FROM met GROUP BY user_id, tweet_id
),
written AS (
    SELECT DISTINCT tweet_id, word FROM (SELECT tweet_id, unnest(words) AS word FROM tokens)
)
SELECT user_id AS source, word AS destination, least(sum(weight), $max_weight) AS weight
FROM once
JOIN written ON written.tweet_id = once.tweet_id
GROUP BY user_id, word
