-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY orders_day ON orders (ordered_on);
CREATE TABLE refunds (id bigint);
CREATE INDEX ON refunds (id);
