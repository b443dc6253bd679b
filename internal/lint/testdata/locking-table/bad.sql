SET lock_timeout = '2s';
SET statement_timeout = '10s';
LOCK TABLE orders; -- here
LOCK TABLE orders IN SHARE MODE; -- here
LOCK orders, shop.refunds IN EXCLUSIVE MODE NOWAIT; -- here
