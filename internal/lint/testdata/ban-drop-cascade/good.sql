SET lock_timeout = '2s';
SET statement_timeout = '10s';
DROP FUNCTION stamp(int);
DROP SEQUENCE numbers RESTRICT;
ALTER TABLE orders DROP CONSTRAINT positive;
