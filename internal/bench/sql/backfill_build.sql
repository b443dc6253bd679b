-- Builds a day from what was copied, beside the table that readers see. Variables: day, next, fresh.
CREATE TABLE :"fresh" (LIKE fct_orders);
INSERT INTO :"fresh"
SELECT order_id, ordered_at, ordered_at::date, channel, customer_id, amount, currency
FROM raw_orders
WHERE ordered_at >= :'day' AND ordered_at < :'next';
TRUNCATE raw_orders;
CREATE UNIQUE INDEX ON :"fresh" (order_id);
ALTER TABLE :"fresh" ADD CONSTRAINT bounds CHECK (ordered_on IS NOT NULL AND ordered_on >= :'day'::date AND ordered_on < :'next'::date);
VACUUM (ANALYZE) :"fresh";
