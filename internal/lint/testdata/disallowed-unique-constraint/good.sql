-- migrate:up transaction:false
SET lock_timeout = '2s';
SET statement_timeout = '10s';
CREATE UNIQUE INDEX CONCURRENTLY orders_number ON orders (number);
ALTER TABLE orders ADD CONSTRAINT orders_number UNIQUE USING INDEX orders_number;
