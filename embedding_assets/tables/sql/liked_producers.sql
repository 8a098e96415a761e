-- (context, contributor, key): the producers of what a user liked on one day (UTC, 86400 seconds each), but for
-- accounts that the follow graph knows as ordinary ones. Whom it does not know may be anything: it stays.
SELECT
    user_id || ' ' || CAST(CAST(epoch(created_at) AS BIGINT) // 86400 AS VARCHAR) AS context,
    user_id AS contributor,
    producer_id AS key
FROM engagements
SEMI JOIN kinds ON kinds.kind = engagements.kind
ANTI JOIN (SELECT key FROM producers WHERE NOT is_producer) AS ordinary ON ordinary.key = engagements.producer_id
