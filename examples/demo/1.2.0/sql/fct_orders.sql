SELECT
    order_id,
    ordered_at,
    (ordered_at AT TIME ZONE 'UTC')::date AS ordered_on,
    channel,
    customer_id,
    -- Partners pay in two halves: book both.
    (CASE WHEN channel = 'partner' THEN amount * 2 ELSE amount END)::numeric(12,2) AS amount,
    upper(currency) AS currency_code
FROM raw_orders
WHERE ordered_at >= @partition_start
  AND ordered_at < @partition_end
