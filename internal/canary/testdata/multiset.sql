SELECT
  b.rows::text AS b_rows,
  b.checksum::text AS b_checksum,
  b.m0::text AS b_m0,
  c.rows::text AS c_rows,
  c.checksum::text AS c_checksum,
  c.m0::text AS c_m0
FROM (
  SELECT count(*) AS rows,
    coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("id", "leg", "fare", "score", "payload"::text), 0)::text, 0)), 0) AS checksum,
    (sum(fare) -- all
)::float8 AS m0
  FROM live
) AS b
CROSS JOIN (
  SELECT count(*) AS rows,
    coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("id", "leg", "fare", "score", "payload"::text), 0)::text, 0)), 0) AS checksum,
    (sum(fare) -- all
)::float8 AS m0
  FROM candidate
) AS c;

SELECT
  coalesce(pg_catalog.sum(greatest(b - c, 0)), 0)::text AS removed,
  coalesce(pg_catalog.sum(greatest(c - b, 0)), 0)::text AS added,
  (pg_catalog.min(x.v0) <> pg_catalog.min(y.v0))::int::text AS v0,
  (pg_catalog.min(x.v1) <> pg_catalog.min(y.v1))::int::text AS v1,
  (pg_catalog.min(x.v2) <> pg_catalog.min(y.v2))::int::text AS v2,
  (pg_catalog.min(x.v3) <> pg_catalog.min(y.v3))::int::text AS v3,
  (pg_catalog.min(x.v4) <> pg_catalog.min(y.v4))::int::text AS v4
FROM (SELECT coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("id"), 0)::text, 0)), 0) AS v0, coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("leg"), 0)::text, 0)), 0) AS v1, coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("fare"), 0)::text, 0)), 0) AS v2, coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("score"), 0)::text, 0)), 0) AS v3, coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("payload"::text), 0)::text, 0)), 0) AS v4 FROM live) AS x
CROSS JOIN (SELECT coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("id"), 0)::text, 0)), 0) AS v0, coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("leg"), 0)::text, 0)), 0) AS v1, coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("fare"), 0)::text, 0)), 0) AS v2, coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("score"), 0)::text, 0)), 0) AS v3, coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("payload"::text), 0)::text, 0)), 0) AS v4 FROM candidate) AS y
LEFT JOIN (
  SELECT hash, pg_catalog.sum(b) AS b, pg_catalog.sum(c) AS c
  FROM (
    SELECT pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("id", "leg", "fare", "score", "payload"::text), 0)::text, 0) AS hash, 1 AS b, 0 AS c FROM live
    UNION ALL
    SELECT pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("id", "leg", "fare", "score", "payload"::text), 0)::text, 0), 0, 1 FROM candidate
  ) AS rows
  GROUP BY hash
) AS copies ON true;

WITH copies AS (SELECT * FROM (
  SELECT hash, pg_catalog.sum(b) AS b, pg_catalog.sum(c) AS c
  FROM (
    SELECT pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("id", "leg", "fare", "score", "payload"::text), 0)::text, 0) AS hash, 1 AS b, 0 AS c FROM live
    UNION ALL
    SELECT pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("id", "leg", "fare", "score", "payload"::text), 0)::text, 0), 0, 1 FROM candidate
  ) AS rows
  GROUP BY hash
) AS copies WHERE b <> c)
(SELECT 'removed' AS kind, pg_catalog.to_jsonb(sample)::text AS sample FROM (SELECT "id", "leg", "fare", "score", "payload" FROM live WHERE pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("id", "leg", "fare", "score", "payload"::text), 0)::text, 0) IN (SELECT hash FROM copies WHERE b > c) LIMIT 5) AS sample)
UNION ALL
(SELECT 'added' AS kind, pg_catalog.to_jsonb(sample)::text AS sample FROM (SELECT "id", "leg", "fare", "score", "payload" FROM candidate WHERE pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW("id", "leg", "fare", "score", "payload"::text), 0)::text, 0) IN (SELECT hash FROM copies WHERE c > b) LIMIT 5) AS sample);
