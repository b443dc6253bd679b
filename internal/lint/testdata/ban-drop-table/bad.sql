DROP TABLE IF EXISTS orders, shop.refunds; -- here
