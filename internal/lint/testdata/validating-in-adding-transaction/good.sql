SET lock_timeout = '2s';
SET statement_timeout = '10s';
BEGIN;
ALTER TABLE orders ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID;
COMMIT;
BEGIN;
ALTER TABLE orders VALIDATE CONSTRAINT positive;
ALTER TABLE orders VALIDATE CONSTRAINT of_another_file;
COMMIT;
