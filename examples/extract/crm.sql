-- A shop's own database, as small as it can be.
CREATE SCHEMA crm;
CREATE TABLE crm.customer (customer_id bigint PRIMARY KEY, segment text NOT NULL);
CREATE TABLE crm.orders (order_id bigint PRIMARY KEY, customer_id bigint REFERENCES crm.customer, ordered_at timestamptz NOT NULL, amount numeric(12,2) NOT NULL);
CREATE INDEX ON crm.orders (ordered_at);
INSERT INTO crm.customer
SELECT i, CASE WHEN i % 3 = 0 THEN 'business' ELSE 'private' END
FROM generate_series(1, 100) AS i;
INSERT INTO crm.orders
SELECT i, CASE WHEN i % 10 > 0 THEN i % 100 + 1 END, '2026-01-01T00:00:00Z'::timestamptz + i * interval '4 minutes', i % 50 + 0.5
FROM generate_series(1, 1800) AS i;
