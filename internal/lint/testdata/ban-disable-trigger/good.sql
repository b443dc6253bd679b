SET lock_timeout = '2s';
SET statement_timeout = '10s';
SET LOCAL shop.unstamped = 'on';
UPDATE orders SET note = '' WHERE id BETWEEN 1 AND 1000;
ALTER TABLE orders ENABLE TRIGGER stamp;
