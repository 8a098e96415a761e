-- One row a key of one side of an affinity graph: its id and the sum of its weights.
SELECT key, id, sum(count) AS count
FROM side
GROUP BY key, id
ORDER BY id, key
