-- What a good engineer would write: one COPY of the file from standard input, and one INSERT into a table that is partitioned by
-- day. In one transaction both tables are new, so that FREEZE saves what reads them later from writing; nobody reads them before
-- it commits. Variables: schema, days.
\set ON_ERROR_STOP on
BEGIN;
CREATE SCHEMA :"schema";
SET LOCAL search_path = :"schema";
SET LOCAL timezone = 'UTC';
CREATE TEMP TABLE raw_orders (
  order_id bigint, ordered_at timestamptz, channel text, customer_id bigint, amount numeric(12,2), currency text
) ON COMMIT DROP;
\copy raw_orders from pstdin with (format csv, header true, freeze true)
ANALYZE raw_orders;
CREATE TABLE fct_orders (
  order_id bigint NOT NULL, ordered_at timestamptz, ordered_on date NOT NULL, channel text, customer_id bigint,
  amount numeric(12,2), fee numeric(12,2), currency text
) PARTITION BY RANGE (ordered_on);
SELECT format('CREATE TABLE fct_orders_%s PARTITION OF fct_orders FOR VALUES FROM (%L) TO (%L)', day, date '2026-01-01' + day, date '2026-01-02' + day)
FROM generate_series(0, :days - 1) AS day
\gexec
INSERT INTO fct_orders
SELECT o.order_id, o.ordered_at, o.ordered_at::date, o.channel, o.customer_id, o.amount, (o.amount * c.fee)::numeric(12,2), o.currency
FROM raw_orders AS o
JOIN (VALUES ('web', 0.01), ('app', 0.02), ('store', 0.00), ('partner', 0.15)) AS c (channel, fee) ON c.channel = o.channel;
COMMIT;
