-- rows, checksum
SELECT
  (count(*))::text AS "rows",
  (coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("order_id", "line", "amount", "pay""ment", "payload"::text, "spot"::text, "at", "tags"), 0)::text, 0)), 0))::text AS "checksum"
FROM shop.orders;

-- c1
SELECT
  (count(*) FILTER (WHERE "order_id" IS NULL OR "amount" IS NULL))::text AS "c1"
FROM shop.orders;

-- c2
SELECT
  (pg_catalog.count(*) FILTER (WHERE "line" IS NOT NULL) - pg_catalog.count(DISTINCT pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("order_id", "line"), 0)::text, 0)) FILTER (WHERE "line" IS NOT NULL))::text AS "c2"
FROM shop.orders;

-- c3
SELECT
  (pg_catalog.count(*) FILTER (WHERE "payload" IS NOT NULL) - pg_catalog.count(DISTINCT pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("payload"::text), 0)::text, 0)) FILTER (WHERE "payload" IS NOT NULL))::text AS "c3"
FROM shop.orders;

-- c4
SELECT
  (count(*) FILTER (WHERE "pay""ment"::text <> ALL (ARRAY['cash', E'it''s\\']::text[])))::text AS "c4"
FROM shop.orders;

-- c5
SELECT
  (count(*) FILTER (WHERE (amount >= 0 -- refunds are another table
) IS NOT TRUE))::text AS "c5"
FROM shop.orders;

-- c6
SELECT
  ((sum(amount)
)::float8)::text AS "c6"
FROM shop.orders;

-- c7
SELECT
  ((count(DISTINCT line)
)::float8)::text AS "c7"
FROM shop.orders;

