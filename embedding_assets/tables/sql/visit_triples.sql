-- (source, destination, weight) of every browser and domain: visits of the week, up to a cap.
SELECT browser_id AS source, domain AS destination, least(count(*), $max_visits)::DOUBLE AS weight
FROM visits
GROUP BY browser_id, domain
