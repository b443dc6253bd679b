DELETE FROM orders; -- here
DELETE FROM orders WHERE true; -- here
WITH gone AS (
  DELETE FROM orders RETURNING id -- here
) INSERT INTO refunds SELECT id FROM gone;
EXPLAIN ANALYZE DELETE FROM orders; -- here
