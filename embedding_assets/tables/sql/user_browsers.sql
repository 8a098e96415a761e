-- (key, feature, weight): how often each known user visited anything with each of its browsers.
SELECT user_id AS key, browser_id AS feature, count(*)::DOUBLE AS weight
FROM visits
WHERE user_id IS NOT NULL
GROUP BY user_id, browser_id
ORDER BY key, feature
