WITH a AS (SELECT id, day FROM orders)
SELECT a.*, s.*, count(*) OVER () AS n, 2 * 3 AS six
FROM a
JOIN (SELECT shop_id FROM shops) s ON s.shop_id = a.id
WHERE EXISTS (SELECT * FROM customers c WHERE c.id = a.id)
