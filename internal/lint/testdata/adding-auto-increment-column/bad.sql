ALTER TABLE orders ADD COLUMN number bigserial; -- here
ALTER TABLE orders ADD COLUMN place bigint GENERATED ALWAYS AS IDENTITY; -- here
