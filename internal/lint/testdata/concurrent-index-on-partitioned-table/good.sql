-- migrate:up transaction:false
SET lock_timeout = '2s';
SET statement_timeout = '10s';
CREATE INDEX orders_day ON ONLY orders (day);
CREATE INDEX CONCURRENTLY orders_2026_day ON orders_2026 (day);
ALTER INDEX orders_day ATTACH PARTITION orders_2026_day;
