CREATE TYPE state AS ENUM ('new');
DROP TYPE state;
CREATE TYPE shop.pair AS (a int, b int);
DROP TYPE shop.pair;
CREATE TYPE spans AS RANGE (subtype = float8);
DROP TYPE spans;
CREATE DOMAIN cents AS bigint;
DROP DOMAIN cents;
