ALTER TABLE orders ALTER COLUMN id TYPE bigint; -- here
ALTER TABLE orders ADD COLUMN code varchar(20);
ALTER TABLE orders ALTER COLUMN code TYPE varchar(10); -- here
ALTER TABLE orders ALTER COLUMN code TYPE integer USING code::integer; -- here
