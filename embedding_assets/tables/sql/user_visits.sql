-- (key, feature, weight): how often each known user visited each domain, up to a cap.
SELECT user_id AS key, domain AS feature, least(count(*), $max_visits)::DOUBLE AS weight
FROM visits
WHERE user_id IS NOT NULL
GROUP BY user_id, domain
ORDER BY key, feature
