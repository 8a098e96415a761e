-- One row a user who wrote in the week. A tweet without a conversation is one of its own.
-- Days are UTC whatever the session's time zone: 86400 seconds each.
SELECT
    user_id,
    count(*) AS tweets,
    count(in_reply_to) AS replies,
    count(DISTINCT coalesce(conversation_id, tweet_id)) AS conversations,
    count(DISTINCT CAST(epoch(created_at) AS BIGINT) // 86400) AS active_days
FROM tweets
GROUP BY user_id
ORDER BY user_id
