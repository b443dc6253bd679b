SET lock_timeout = '2s';
SET statement_timeout = '10s';
ALTER TABLE orders SET TABLESPACE fast; -- here
ALTER INDEX orders_day SET TABLESPACE fast; -- here
ALTER MATERIALIZED VIEW daily SET TABLESPACE fast; -- here
ALTER TABLE ALL IN TABLESPACE slow SET TABLESPACE fast; -- here
