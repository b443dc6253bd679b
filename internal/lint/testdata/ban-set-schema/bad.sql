SET lock_timeout = '2s';
SET statement_timeout = '10s';
ALTER TABLE orders SET SCHEMA archive; -- here
ALTER VIEW daily SET SCHEMA archive; -- here
ALTER TYPE shop.state SET SCHEMA archive; -- here
ALTER FUNCTION stamp(int) SET SCHEMA archive; -- here
