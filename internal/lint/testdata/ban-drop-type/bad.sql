DROP TYPE state, shop.reason; -- here
DROP DOMAIN cents; -- here
