-- The keys of a window that are frequent enough, most frequent first; `position` is their row in the
-- embedding. Weights are whole multiples of 2^-24, so the sum is exact in any order of its terms.
WITH summed AS (
    SELECT key, id, sum(count * weight) AS count
    FROM vocabulary
    GROUP BY key, id
),
ranked AS (
    SELECT key, id, count, row_number() OVER (ORDER BY count DESC, key) - 1 AS position
    FROM summed
    WHERE count >= $min_count
)
SELECT CAST(position AS INTEGER) AS position, key, id, count
FROM ranked
WHERE position < $max_vocabulary
ORDER BY position
