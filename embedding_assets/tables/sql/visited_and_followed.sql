-- (source, destination, weight) of every domain and producer: a user's visits to the domain, summed over the users
-- who follow the producer. A user brings the most visited domains, and as many producers, whose order is a hash:
-- neither the alphabet nor fame decides which of very many are taken.
WITH domains AS (
    SELECT key, feature, weight,
        row_number() OVER (PARTITION BY key ORDER BY weight DESC, md5(key || ' ' || feature), feature) AS place
    FROM visits
),
followed AS (
    SELECT DISTINCT f.src AS key, f.dst AS producer
    FROM follows AS f
    SEMI JOIN visits AS v ON v.key = f.src
    SEMI JOIN (SELECT key FROM producers WHERE is_producer) AS p ON p.key = f.dst
),
picked AS (
    SELECT key, producer,
        row_number() OVER (PARTITION BY key ORDER BY md5(key || ' ' || producer), producer) AS place
    FROM followed
)
SELECT d.feature AS source, p.producer AS destination, sum(d.weight) AS weight
FROM domains AS d
JOIN picked AS p ON p.key = d.key
WHERE d.place <= $max_domains AND p.place <= $max_producers
GROUP BY d.feature, p.producer
