CREATE TABLE refunds (id bigint);
ALTER TABLE refunds ADD COLUMN note text;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout TO 10000;
ALTER TABLE orders ADD COLUMN note text;
