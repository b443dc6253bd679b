SET lock_timeout = '2s';
SET statement_timeout = '10s';
UPDATE orders SET note = ''; -- here
ALTER TABLE orders ADD COLUMN remark text;
DELETE FROM orders; -- here
UPDATE orders SET remark = '' WHERE true; -- here
