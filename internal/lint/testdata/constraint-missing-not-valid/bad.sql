ALTER TABLE orders ADD CONSTRAINT positive CHECK (amount > 0); -- here
ALTER TABLE orders ADD COLUMN discount numeric CHECK (discount < 1); -- here
