-- The pairs of a window over its kept rows and columns, by their positions. Joined before they are
-- summed: most weekly pairs hold a word too rare to be kept, and never reach the aggregation.
-- Weights are whole multiples of 2^-24, so the sum is exact in any order of its terms.
WITH summed AS (
    SELECT (r.position::BIGINT << 31) | c.position AS packed, sum(p.count * p.weight) AS count
    FROM weekly_pairs AS p
    JOIN window_rows AS r ON r.id = p.row_id
    JOIN window_columns AS c ON c.id = p.col_id
    GROUP BY packed
)
SELECT
    r.position AS row_id,
    c.position AS col_id,
    -- The two factors first: their product, and so the table, is then the same in both directions.
    CAST(s.count * (r.keep * c.keep) AS FLOAT) AS count
FROM summed AS s
JOIN window_rows AS r ON r.position = s.packed >> 31
JOIN window_columns AS c ON c.position = s.packed & 2147483647
WHERE s.count >= $min_pair_count AND s.count > 0
ORDER BY s.packed
