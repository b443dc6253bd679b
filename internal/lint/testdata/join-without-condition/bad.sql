SELECT o.id
FROM orders o,
    customers c -- here
JOIN shops s
    ON true -- here
WHERE o.id = 1 AND s.id = c.id
