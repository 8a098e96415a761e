-- (row_id, col_id, count) of every two words at most $window places apart in one conversation, in both
-- directions. `corpus` holds each conversation as a list of codes, `ids` the id of each code.
--
-- DuckDB's form: two slices of a list, shifted against each other, unnested side by side. It never sees
-- the position of a word, so it needs no join and no order of rows. Each unordered pair is grouped once
-- (packed into one BIGINT: a code is below 2^31) and written in both directions afterwards.
WITH adjacent AS (
    SELECT
        unnest(codes[1:len(codes) - distance]) AS a,
        unnest(codes[1 + distance:]) AS b
    FROM corpus, range(1, $window + 1) AS distances(distance)
    WHERE len(codes) > distance
),
unordered AS (
    SELECT (least(a, b)::BIGINT << 31) | greatest(a, b) AS packed, count(*) AS n
    FROM adjacent
    GROUP BY packed
),
named AS (
    SELECT lesser.id AS a, greater.id AS b, n
    FROM unordered
    JOIN ids AS lesser ON lesser.code = packed >> 31
    JOIN ids AS greater ON greater.code = packed & 2147483647
)
-- A word beside itself is seen from both sides: twice.
SELECT a AS row_id, b AS col_id, CASE WHEN a = b THEN 2 * n ELSE n END AS count FROM named
UNION ALL
SELECT b AS row_id, a AS col_id, n AS count FROM named WHERE a <> b
ORDER BY row_id, col_id
