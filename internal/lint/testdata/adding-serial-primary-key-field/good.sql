-- migrate:up transaction:false
SET lock_timeout = '2s';
SET statement_timeout = '10s';
CREATE UNIQUE INDEX CONCURRENTLY orders_pkey ON orders (id);
ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_pkey;
