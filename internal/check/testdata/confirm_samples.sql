-- c2_exact
SELECT coalesce(pg_catalog.sum(copies - 1), 0)::text AS "c2_exact"
FROM (
SELECT count(*) AS copies
FROM shop.orders
WHERE "line" IS NOT NULL
GROUP BY "order_id", "line"
HAVING count(*) > 1
) AS duplicates;

-- sample
SELECT pg_catalog.to_jsonb(failing)::text AS sample
FROM (
SELECT "order_id", "line", "amount"
FROM shop.orders
WHERE "order_id" IS NULL OR "amount" IS NULL
LIMIT 5
) AS failing;

-- sample
SELECT pg_catalog.to_jsonb(failing)::text AS sample
FROM (
SELECT ctid, "order_id", "amount"
FROM shop.orders
WHERE "order_id" IS NULL OR "amount" IS NULL
LIMIT 5
) AS failing;

-- sample
SELECT pg_catalog.to_jsonb(failing)::text AS sample
FROM (
SELECT "order_id" AS "order_id", "line" AS "line", count(*) AS copies
FROM shop.orders
WHERE "line" IS NOT NULL
GROUP BY "order_id", "line"
HAVING count(*) > 1
LIMIT 5
) AS failing;

-- sample
SELECT pg_catalog.to_jsonb(failing)::text AS sample
FROM (
SELECT "order_id" AS "order_id", "line" AS "line", count(*) AS copies
FROM shop.orders
WHERE "line" IS NOT NULL
GROUP BY "order_id", "line"
HAVING count(*) > 1
LIMIT 5
) AS failing;

-- sample
SELECT pg_catalog.to_jsonb(failing)::text AS sample
FROM (
SELECT "payload"::text AS "payload", count(*) AS copies
FROM shop.orders
WHERE "payload" IS NOT NULL
GROUP BY "payload"::text
HAVING count(*) > 1
LIMIT 5
) AS failing;

-- sample
SELECT pg_catalog.to_jsonb(failing)::text AS sample
FROM (
SELECT "payload"::text AS "payload", count(*) AS copies
FROM shop.orders
WHERE "payload" IS NOT NULL
GROUP BY "payload"::text
HAVING count(*) > 1
LIMIT 5
) AS failing;

-- sample
SELECT pg_catalog.to_jsonb(failing)::text AS sample
FROM (
SELECT "order_id", "line", "pay""ment"
FROM shop.orders
WHERE "pay""ment"::text <> ALL (ARRAY['cash', E'it''s\\']::text[])
LIMIT 5
) AS failing;

-- sample
SELECT pg_catalog.to_jsonb(failing)::text AS sample
FROM (
SELECT ctid, "pay""ment"
FROM shop.orders
WHERE "pay""ment"::text <> ALL (ARRAY['cash', E'it''s\\']::text[])
LIMIT 5
) AS failing;

-- sample
SELECT pg_catalog.to_jsonb(failing)::text AS sample
FROM (
SELECT "order_id", "line"
FROM shop.orders
WHERE (amount >= 0 -- refunds are another table
) IS NOT TRUE
LIMIT 5
) AS failing;

-- sample
SELECT pg_catalog.to_jsonb(failing)::text AS sample
FROM (
SELECT ctid
FROM shop.orders
WHERE (amount >= 0 -- refunds are another table
) IS NOT TRUE
LIMIT 5
) AS failing;

