-- migrate:up transaction:false
CREATE TABLE events (id bigint, day date) PARTITION BY RANGE (day);
CREATE INDEX CONCURRENTLY events_day ON events (day); -- here
ALTER TABLE orders ATTACH PARTITION orders_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX CONCURRENTLY orders_day ON orders (day); -- here
