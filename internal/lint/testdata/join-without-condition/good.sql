SELECT o.id
FROM orders o, customers c, unnest(o.lines) AS line
CROSS JOIN (SELECT max(day) AS day FROM orders) AS newest
LEFT JOIN LATERAL (SELECT day FROM visits v WHERE v.customer_id = o.customer_id LIMIT 1) v ON true
JOIN shops USING (shop_id)
NATURAL JOIN regions
WHERE c.id = o.customer_id
