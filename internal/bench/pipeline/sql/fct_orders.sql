SELECT
  order_id,
  ordered_at,
  ordered_at::date AS ordered_on,
  channel,
  customer_id,
  amount,
  currency
FROM raw_orders
WHERE ordered_at >= @partition_start
  AND ordered_at < @partition_end
