SELECT id, amount::numeric(12,2) AS amount, weight::float AS weight, latitude::double precision AS latitude, total
FROM orders
