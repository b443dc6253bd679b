-- migrate:up transaction:false
REINDEX TABLE CONCURRENTLY orders;
REINDEX (CONCURRENTLY on) INDEX orders_day;
CREATE TABLE refunds (id bigint PRIMARY KEY);
REINDEX TABLE refunds;
