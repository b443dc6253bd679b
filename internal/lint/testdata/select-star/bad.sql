WITH a AS (SELECT * FROM orders) -- here
SELECT a.id,
    c.* -- here
FROM a
JOIN customers c ON c.id = a.customer_id
