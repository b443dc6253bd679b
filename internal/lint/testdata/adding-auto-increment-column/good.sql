SET lock_timeout = '2s';
SET statement_timeout = '10s';
CREATE SEQUENCE order_number;
ALTER TABLE orders ADD COLUMN number bigint;
ALTER TABLE orders ALTER COLUMN number SET DEFAULT nextval('order_number');
