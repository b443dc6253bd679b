SET lock_timeout = '2s';
SET statement_timeout = '10s';
ALTER TABLE orders ADD COLUMN note text;
ALTER TABLE orders ADD COLUMN state text NOT NULL DEFAULT 'open';
CREATE TABLE refunds (id bigint PRIMARY KEY);
ALTER TABLE refunds ADD COLUMN note text NOT NULL;
