SELECT id,
    now() AS built_at, -- here
    current_date - day AS age, -- here
    gen_random_uuid() AS token, -- here
    (SELECT random()) AS lot, -- here
    age(day) AS since, -- here
    'today'::date AS today -- here
FROM orders
WHERE day < clock_timestamp() -- here
