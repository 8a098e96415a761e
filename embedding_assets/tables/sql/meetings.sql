-- (row_id, col_id, count) of every two keys that meet in a context, in both directions. `contexts` holds each
-- context with its distinct keys. Where it is $shared, each of its keys shares one unit among the others: a
-- whole multiple of 2^-24, so that sums are exact in any order; else every meeting counts 1.
WITH members AS (
    SELECT
        context,
        CASE WHEN $shared THEN round(16777216.0 / (len(keys) - 1)) / 16777216 ELSE 1.0 END AS weight,
        unnest(keys) AS key
    FROM contexts
    WHERE len(keys) > 1
),
named AS (
    SELECT context, weight, CAST('0x' || left(md5(key), 15) AS BIGINT) AS id FROM members
)
SELECT a.id AS row_id, b.id AS col_id, sum(CAST(a.weight AS DOUBLE)) AS count
FROM named AS a
JOIN named AS b ON b.context = a.context AND b.id <> a.id
GROUP BY a.id, b.id
ORDER BY row_id, col_id
