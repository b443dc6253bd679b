SET lock_timeout = '2s';
SET statement_timeout = '10s';
CREATE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stamp(); -- here
