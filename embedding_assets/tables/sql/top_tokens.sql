-- One row a token among the k most frequent of its kind in the week, or as frequent as the last of these.
-- `listed`: among the first k, ties by the token's own order. `tied`: only that order says whether it is listed.
WITH mentioned AS (
    SELECT 'mention' AS kind, unnest(mentions) AS token FROM tokens
    UNION ALL
    SELECT 'site' AS kind, unnest(domains) AS token FROM tokens
    UNION ALL
    SELECT 'hashtag' AS kind, unnest(hashtags) AS token FROM tokens
    UNION ALL
    SELECT 'word' AS kind, unnest(words) AS token FROM tokens
    UNION ALL
    SELECT 'english word' AS kind, unnest(words) AS token FROM tokens WHERE lower(lang) IN ('en', 'english')
),
counted AS (
    SELECT kind, token, count(*) AS count
    FROM mentioned
    GROUP BY kind, token
),
ranked AS (
    SELECT kind, token, count, row_number() OVER (PARTITION BY kind ORDER BY count DESC, token) AS rank
    FROM counted
),
lists AS (
    SELECT
        kind,
        min(count) FILTER (rank <= $k) AS border,
        max(count) FILTER (rank > $k) AS next_count
    FROM ranked
    GROUP BY kind
)
SELECT
    kind,
    token,
    count,
    CAST(rank AS INTEGER) AS rank,
    rank <= $k AS listed,
    coalesce(count = border AND border = next_count, FALSE) AS tied
FROM ranked
JOIN lists USING (kind)
WHERE count >= border
ORDER BY kind, rank
