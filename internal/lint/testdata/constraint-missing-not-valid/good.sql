SET lock_timeout = '2s';
SET statement_timeout = '10s';
BEGIN;
ALTER TABLE orders ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID;
COMMIT;
ALTER TABLE orders VALIDATE CONSTRAINT positive;
CREATE TABLE refunds (amount numeric);
ALTER TABLE refunds ADD CHECK (amount > 0);
