ALTER TABLE orders ADD CONSTRAINT orders_number UNIQUE (number); -- here
ALTER TABLE orders ADD COLUMN code text UNIQUE; -- here
