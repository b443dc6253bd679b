-- migrate:up transaction:false
VACUUM orders;
VACUUM (FULL off, ANALYZE) orders;
VACUUM (FULL 0) orders;
VACUUM (FULL false) orders;
ANALYZE orders;
CREATE TABLE refunds (id bigint PRIMARY KEY);
CLUSTER refunds USING refunds_pkey;
