SET lock_timeout = '2s';
SET statement_timeout = '10s';
CREATE UNLOGGED TABLE scratch (id bigint);
ALTER TABLE scratch SET LOGGED;
ALTER TABLE orders SET (fillfactor = 70);
