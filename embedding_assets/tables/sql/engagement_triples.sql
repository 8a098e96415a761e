-- (source, destination, weight) of every engagement whose kind has a weight in `kinds`, but for those with
-- accounts that the follow graph knows as ordinary ones. Whom it does not know may be anything: it stays.
-- A weight that is not finite is not capped either: it is refused where triples are summed.
WITH capped AS (
    SELECT
        user_id,
        producer_id,
        kind,
        CASE
            WHEN weight > $max_weight AND weight < CAST('Infinity' AS DOUBLE) THEN $max_weight
            ELSE coalesce(weight, 1)
        END AS weight
    FROM engagements
)
SELECT e.user_id AS source, e.producer_id AS destination, k.weight * e.weight AS weight
FROM capped AS e
JOIN kinds AS k ON k.kind = e.kind
ANTI JOIN (SELECT key FROM producers WHERE NOT is_producer) AS ordinary ON ordinary.key = e.producer_id
