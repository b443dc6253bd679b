-- Holds a day to its checks, and sums it up, in one pass each; a day that breaks one ends the script. Variables: day, fresh, least.
SELECT
  count(*) AS rows,
  coalesce(sum(amount), 0) AS revenue,
  count(*) FILTER (WHERE order_id IS NULL OR ordered_at IS NULL OR channel IS NULL OR amount IS NULL)
  + count(*) FILTER (WHERE channel NOT IN ('web', 'app', 'store', 'partner'))
  + count(*) FILTER (WHERE NOT amount >= 0)
  + (SELECT count(*) FROM (SELECT FROM :"fresh" GROUP BY order_id HAVING count(*) > 1) AS twice) AS wrong,
  coalesce(sum(hashtextextended(o::text, 0)::numeric), 0) AS checksum
FROM :"fresh" AS o
\gset
SELECT 1 / (:wrong = 0 AND :rows >= :least)::int;
INSERT INTO published (day, rows, revenue, checksum) VALUES (:'day', :rows, :revenue, :checksum);
