DROP VIEW daily CASCADE; -- here
ALTER TABLE orders DROP COLUMN note CASCADE; -- here
ALTER TABLE orders DROP CONSTRAINT orders_pkey CASCADE; -- here
