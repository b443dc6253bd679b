ALTER TABLE orders ADD COLUMN token uuid DEFAULT gen_random_uuid(); -- here
ALTER TABLE orders ADD COLUMN seen timestamptz NOT NULL DEFAULT clock_timestamp(); -- here
ALTER TABLE orders ADD COLUMN code text DEFAULT 'x' || our_code(); -- here
