SET lock_timeout = '2s';
SET statement_timeout = '10s';
ALTER TABLE orders DISABLE TRIGGER stamp; -- here
ALTER TABLE orders DISABLE TRIGGER ALL; -- here
ALTER TABLE orders DISABLE TRIGGER USER; -- here
