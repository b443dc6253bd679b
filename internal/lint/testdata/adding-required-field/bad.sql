ALTER TABLE orders ADD COLUMN note text NOT NULL; -- here
ALTER TABLE orders
    ADD COLUMN first text,
    ADD COLUMN second text DEFAULT NULL NOT NULL; -- here
