DROP VIEW daily CASCADE; -- here
ALTER TABLE orders DROP COLUMN note CASCADE; -- here
ALTER TABLE orders DROP CONSTRAINT orders_pkey CASCADE; -- here
DROP SCHEMA shop CASCADE; -- here
DROP FUNCTION stamp(int) CASCADE; -- here
DROP OWNED BY bob CASCADE; -- here
