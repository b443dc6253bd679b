SET lock_timeout = '2s';
SET statement_timeout = '10s';
ALTER TABLE orders ADD COLUMN code varchar(10);
ALTER TABLE orders ALTER COLUMN code TYPE varchar(20);
ALTER TABLE orders ALTER COLUMN code TYPE text;
ALTER TABLE orders ADD COLUMN amount numeric(10,2);
ALTER TABLE orders ALTER COLUMN amount TYPE numeric(12,2);
CREATE TABLE refunds (id integer);
ALTER TABLE refunds ALTER COLUMN id TYPE bigint;
