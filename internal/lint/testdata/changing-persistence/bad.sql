SET lock_timeout = '2s';
SET statement_timeout = '10s';
ALTER TABLE orders SET UNLOGGED; -- here
ALTER TABLE orders ADD COLUMN note text, SET LOGGED; -- here
