SET lock_timeout = '2s';
SET statement_timeout = '10s';
ALTER TABLE orders ADD COLUMN gross numeric;
CREATE TABLE refunds (net numeric, gross numeric GENERATED ALWAYS AS (net * 1.2) STORED);
