-- (source, destination, weight) of every user and ad: clicks of the week, up to a cap.
SELECT user_id AS source, ad_id AS destination, least(count(*), $max_clicks)::DOUBLE AS weight
FROM clicks
GROUP BY user_id, ad_id
