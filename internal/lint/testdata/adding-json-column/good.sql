SET lock_timeout = '2s';
SET statement_timeout = '10s';
ALTER TABLE orders ADD COLUMN extra jsonb;
CREATE TABLE raw (body json);
