SET lock_timeout = '2s';
SET statement_timeout = '10s';
BEGIN;
ALTER TABLE orders ADD COLUMN note text;
UPDATE orders SET note = '' WHERE id BETWEEN 1 AND 1000;
CREATE TABLE refunds (note text);
UPDATE refunds SET note = '';
COMMIT;
UPDATE orders SET note = '';
