-- (source, destination, weight) of every follow but those of oneself.
SELECT src AS source, dst AS destination, 1.0 AS weight
FROM follows
WHERE src <> dst
