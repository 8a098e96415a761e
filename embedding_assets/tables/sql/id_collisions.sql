-- Ids that stand for more than one key, with two of those keys.
SELECT id, min(key) AS first_key, max(key) AS second_key
FROM vocabulary
GROUP BY id
HAVING min(key) <> max(key)
ORDER BY id
