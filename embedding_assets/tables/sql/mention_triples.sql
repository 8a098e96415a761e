-- (source, destination, weight) of every user who mentions another: in how many tweets of the week.
WITH mentioned AS (
    SELECT user_id, unnest(list_distinct(mentions)) AS mention FROM tokens
)
SELECT user_id AS source, mention AS destination, least(count(*), $max_tweets)::DOUBLE AS weight
FROM mentioned
WHERE lower(user_id) <> mention
GROUP BY user_id, mention
