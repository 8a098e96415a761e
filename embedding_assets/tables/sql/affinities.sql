-- One row a (source, destination): both with the stable id of stable_ids.sql, and the sum of their weights.
-- A weight becomes a whole multiple of 2^-24, at least one: sums of such numbers are exact in any order.
WITH stepped AS (
    SELECT source, destination, greatest(round(weight * 16777216), 1) / 16777216 AS weight
    FROM triples
)
SELECT
    source,
    destination,
    CAST('0x' || left(md5(source), 15) AS BIGINT) AS row_id,
    CAST('0x' || left(md5(destination), 15) AS BIGINT) AS col_id,
    sum(weight) AS count
FROM stepped
GROUP BY source, destination
ORDER BY row_id, col_id, source, destination
