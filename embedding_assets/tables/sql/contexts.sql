-- One row a context where keys meet, with its distinct keys, at most $max_context, in an order of no meaning.
-- `occurrences` holds (context, contributor, key). A contributor brings a key into at most $max_each contexts,
-- so that nobody makes a pair frequent alone. What is over a limit is left out by hash: the choice is the same
-- every time, and no key is favoured for its name or its place.
WITH brought AS (
    SELECT DISTINCT context, contributor, key
    FROM occurrences
    WHERE context IS NOT NULL AND contributor IS NOT NULL AND key IS NOT NULL
),
bounded AS (
    SELECT
        context,
        key,
        row_number() OVER (PARTITION BY contributor, key ORDER BY md5(context || ' ' || key), context) AS turn
    FROM brought
),
ranked AS (
    SELECT
        context,
        key,
        row_number() OVER (PARTITION BY context ORDER BY md5(context || ' ' || key), key) AS place
    FROM bounded
    WHERE turn <= $max_each
    GROUP BY context, key
)
SELECT context, array_agg(key ORDER BY place) AS keys
FROM ranked
WHERE place <= $max_context
GROUP BY context
HAVING count(*) > 1
ORDER BY context
