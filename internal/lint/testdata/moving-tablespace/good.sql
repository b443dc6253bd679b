-- migrate:up transaction:false
REINDEX (CONCURRENTLY, TABLESPACE fast) INDEX orders_day;
CREATE TABLE refunds (id bigint) TABLESPACE slow;
ALTER TABLE refunds SET TABLESPACE fast;
