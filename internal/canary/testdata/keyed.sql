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
  count(*) FILTER (WHERE c.here IS NULL)::text AS removed,
  count(*) FILTER (WHERE b.here IS NULL)::text AS added,
  count(*) FILTER (WHERE b.here AND c.here)::text AS common,
  count(*) FILTER (WHERE b.here AND c.here AND (b.v0 IS DISTINCT FROM c.v0 OR b.v1 IS DISTINCT FROM c.v1 OR b.v2 IS DISTINCT FROM c.v2))::text AS changed,
  count(*) FILTER (WHERE b.here AND c.here AND b.v0 IS DISTINCT FROM c.v0)::text AS v0,
  count(*) FILTER (WHERE b.here AND c.here AND b.v1 IS DISTINCT FROM c.v1)::text AS v1,
  count(*) FILTER (WHERE b.here AND c.here AND b.v2 IS DISTINCT FROM c.v2)::text AS v2
FROM (SELECT true AS here, "id" AS k0, "leg" AS k1, "fare" AS v0, "score" AS v1, "payload"::text AS v2 FROM live) AS b
FULL JOIN (SELECT true AS here, "id" AS k0, "leg" AS k1, "fare" AS v0, "score" AS v1, "payload"::text AS v2 FROM candidate) AS c
  ON b.k0 = c.k0 AND ARRAY[b.k1] = ARRAY[c.k1];

WITH differing AS (
SELECT b.here AS in_b, c.here AS in_c, CASE WHEN b.here THEN b.k0 ELSE c.k0 END AS k0, CASE WHEN b.here THEN b.k1 ELSE c.k1 END AS k1, b.v0 AS b0, c.v0 AS c0, b.v1 AS b1, c.v1 AS c1, b.v2 AS b2, c.v2 AS c2
FROM (SELECT true AS here, "id" AS k0, "leg" AS k1, "fare" AS v0, "score" AS v1, "payload"::text AS v2 FROM live) AS b
FULL JOIN (SELECT true AS here, "id" AS k0, "leg" AS k1, "fare" AS v0, "score" AS v1, "payload"::text AS v2 FROM candidate) AS c
  ON b.k0 = c.k0 AND ARRAY[b.k1] = ARRAY[c.k1]
WHERE b.here IS NULL OR c.here IS NULL OR (b.v0 IS DISTINCT FROM c.v0 OR b.v1 IS DISTINCT FROM c.v1 OR b.v2 IS DISTINCT FROM c.v2)
)
(SELECT 'removed' AS kind, pg_catalog.jsonb_build_object('key', pg_catalog.jsonb_build_object('id', k0, 'leg', k1))::text AS sample FROM differing WHERE in_c IS NULL LIMIT 5)
UNION ALL
(SELECT 'added' AS kind, pg_catalog.jsonb_build_object('key', pg_catalog.jsonb_build_object('id', k0, 'leg', k1))::text AS sample FROM differing WHERE in_b IS NULL LIMIT 5)
UNION ALL
(SELECT 'changed.fare' AS kind, pg_catalog.jsonb_build_object('key', pg_catalog.jsonb_build_object('id', k0, 'leg', k1), 'baseline', b0, 'candidate', c0)::text AS sample FROM differing WHERE in_b AND in_c AND b0 IS DISTINCT FROM c0 LIMIT 5)
UNION ALL
(SELECT 'changed.score' AS kind, pg_catalog.jsonb_build_object('key', pg_catalog.jsonb_build_object('id', k0, 'leg', k1), 'baseline', b1, 'candidate', c1)::text AS sample FROM differing WHERE in_b AND in_c AND b1 IS DISTINCT FROM c1 LIMIT 5)
UNION ALL
(SELECT 'changed.payload' AS kind, pg_catalog.jsonb_build_object('key', pg_catalog.jsonb_build_object('id', k0, 'leg', k1), 'baseline', b2, 'candidate', c2)::text AS sample FROM differing WHERE in_b AND in_c AND b2 IS DISTINCT FROM c2 LIMIT 5);
