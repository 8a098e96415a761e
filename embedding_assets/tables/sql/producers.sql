-- One row an account that follows or is followed; a follow that occurs in several weeks is one.
WITH edges AS (
    SELECT DISTINCT src, dst FROM follows WHERE src <> dst
),
ends AS (
    SELECT dst AS key, 1 AS followers, 0 AS following FROM edges
    UNION ALL
    SELECT src AS key, 0 AS followers, 1 AS following FROM edges
),
degrees AS (
    SELECT key, CAST(sum(followers) AS BIGINT) AS followers, CAST(sum(following) AS BIGINT) AS following
    FROM ends
    GROUP BY key
)
SELECT
    key,
    followers,
    following,
    followers >= $min_followers AND followers >= $min_ratio * following AS is_producer
FROM degrees
ORDER BY key
