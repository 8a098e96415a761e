-- One row a key: its stable id, how often it occurs, and in how many conversations.
-- The id is the one of stable_ids.sql.
WITH occurrences AS (
    SELECT conversation_id, unnest(words) AS key
    FROM corpus
),
per_conversation AS (
    SELECT conversation_id, key, count(*) AS n
    FROM occurrences
    GROUP BY conversation_id, key
)
SELECT
    key,
    CAST('0x' || left(md5(key), 15) AS BIGINT) AS id,
    CAST(sum(n) AS BIGINT) AS count,
    count(*) AS conversations
FROM per_conversation
GROUP BY key
ORDER BY id, key
