SELECT
    order_id,
    ordered_at,
    (ordered_at AT TIME ZONE 'UTC')::date AS ordered_on,
    channel,
    customer_id,
    -- Winter sale: from 31 January on, orders of 50 and more are half price.
    (CASE WHEN ordered_at < '2026-01-31' AND amount >= 50 THEN amount / 2 ELSE amount END)::numeric(12,2) AS amount,
    upper(currency) AS currency_code
FROM raw_orders
WHERE ordered_at >= @partition_start
  AND ordered_at < @partition_end
