SET lock_timeout = '2s';
SET statement_timeout = '10s';
DROP VIEW daily;
DROP VIEW weekly RESTRICT;
ALTER TABLE orders DROP CONSTRAINT positive;
