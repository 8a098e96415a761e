-- One row a kind and an age: how many tokens of this week's list were in the list of `weeks_back` weeks ago.
-- `weight` holds each week's age. Only whole numbers are summed, so no order of terms matters.
WITH lists AS (
    SELECT
        kind,
        CAST(weight AS INTEGER) AS weeks_back,
        count(*) FILTER (listed) AS listed,
        count(*) FILTER (tied) AS tied,
        count(*) FILTER (tied AND listed) AS tied_listed,
        CAST(sum(count) FILTER (listed) AS BIGINT) AS occurrences
    FROM weekly_tokens
    GROUP BY kind, weeks_back
),
shared AS (
    SELECT
        now.kind,
        CAST(past.weight AS INTEGER) AS weeks_back,
        count(*) FILTER (now.listed AND past.listed) AS kept,
        count(*) FILTER (NOT now.tied AND NOT past.tied) AS both_sure,
        count(*) FILTER (now.tied AND NOT past.tied) AS now_tied,
        count(*) FILTER (NOT now.tied AND past.tied) AS then_tied,
        count(*) FILTER (now.tied AND past.tied) AS both_tied
    FROM weekly_tokens AS now
    JOIN weekly_tokens AS past ON past.kind = now.kind AND past.token = now.token
    WHERE now.weight = 0 AND past.weight > 0
    GROUP BY now.kind, past.weight
)
SELECT
    now.kind,
    past.weeks_back,
    now.listed,
    past.listed AS listed_then,
    now.tied,
    now.tied_listed,
    past.tied AS tied_then,
    past.tied_listed AS tied_listed_then,
    now.occurrences,
    past.occurrences AS occurrences_then,
    coalesce(kept, 0) AS kept,
    coalesce(both_sure, 0) AS both_sure,
    coalesce(now_tied, 0) AS now_tied,
    coalesce(then_tied, 0) AS then_tied,
    coalesce(both_tied, 0) AS both_tied
FROM lists AS now
JOIN lists AS past ON past.kind = now.kind
LEFT JOIN shared ON shared.kind = now.kind AND shared.weeks_back = past.weeks_back
WHERE now.weeks_back = 0 AND past.weeks_back > 0
ORDER BY now.kind, past.weeks_back
