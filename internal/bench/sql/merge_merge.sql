-- What a good engineer would write: the file into a table of the session, and one MERGE. Variable: table; the file comes from standard
-- input.
\set ON_ERROR_STOP on
SET timezone = 'UTC';
BEGIN;
CREATE TEMP TABLE delta (
  order_id bigint, ordered_at timestamptz, channel text, customer_id bigint, amount numeric(12,2), currency text
) ON COMMIT DROP;
\copy delta from pstdin with (format csv, header true, freeze true)
ANALYZE delta;
MERGE INTO :table AS o
USING delta AS d ON o.order_id = d.order_id
WHEN MATCHED THEN UPDATE
SET ordered_at = d.ordered_at, ordered_on = d.ordered_at::date, channel = d.channel,
    customer_id = d.customer_id, amount = d.amount, currency = d.currency
WHEN NOT MATCHED THEN INSERT (order_id, ordered_at, ordered_on, channel, customer_id, amount, currency)
  VALUES (d.order_id, d.ordered_at, d.ordered_at::date, d.channel, d.customer_id, d.amount, d.currency);
COMMIT;
