-- One row a user with its topics; a repeated one counts once.
SELECT user_id, list_sort(list_distinct(list(topic))) AS topics
FROM user_topics
GROUP BY user_id
ORDER BY user_id
