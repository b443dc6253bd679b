-- What a good engineer would write: the file into a table of the session, and one INSERT … ON CONFLICT. Variable: table; the file comes
-- from standard input.
\set ON_ERROR_STOP on
SET timezone = 'UTC';
BEGIN;
CREATE TEMP TABLE delta (
  order_id bigint, ordered_at timestamptz, channel text, customer_id bigint, amount numeric(12,2), currency text
) ON COMMIT DROP;
\copy delta from pstdin with (format csv, header true, freeze true)
INSERT INTO :table (order_id, ordered_at, ordered_on, channel, customer_id, amount, currency)
SELECT order_id, ordered_at, ordered_at::date, channel, customer_id, amount, currency
FROM delta
ON CONFLICT (order_id) DO UPDATE
SET ordered_at = excluded.ordered_at, ordered_on = excluded.ordered_on, channel = excluded.channel,
    customer_id = excluded.customer_id, amount = excluded.amount, currency = excluded.currency;
COMMIT;
