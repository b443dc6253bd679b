SELECT
    order_id,
    ordered_at,
    (ordered_at AT TIME ZONE 'UTC')::date AS ordered_on,
    channel,
    customer_id,
    amount,
    upper(currency) AS currency_code
FROM raw_orders
WHERE ordered_at >= @partition_start
  AND ordered_at < @partition_end
