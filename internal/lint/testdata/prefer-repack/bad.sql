-- migrate:up transaction:false
VACUUM FULL orders; -- here
VACUUM (FULL, ANALYZE) orders, shop.refunds; -- here
VACUUM (FULL 1); -- here
CLUSTER orders USING orders_day; -- here
CLUSTER; -- here
