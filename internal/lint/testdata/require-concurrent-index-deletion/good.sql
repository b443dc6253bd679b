-- migrate:up transaction:false
DROP INDEX CONCURRENTLY orders_day;
