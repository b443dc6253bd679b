SELECT id,
    amount::float AS amount, -- here
    CAST(net_price AS double precision) AS net, -- here
    sum(cost * count)::real AS spent, -- here
    text::float8 AS total_price -- here
FROM orders
GROUP BY id
