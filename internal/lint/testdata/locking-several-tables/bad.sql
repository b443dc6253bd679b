SET lock_timeout = '2s';
SET statement_timeout = '10s';
ALTER TABLE orders ADD COLUMN note text;
CREATE TABLE refunds (id bigint);
ALTER TABLE refunds ADD COLUMN note text;
ALTER TABLE orders ADD COLUMN remark text;
ALTER TABLE customers ADD COLUMN note text; -- here
