DROP INDEX orders_day, shop.orders_number; -- here
