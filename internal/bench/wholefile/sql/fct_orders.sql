SELECT
  o.order_id,
  o.ordered_at,
  o.ordered_at::date AS ordered_on,
  o.channel,
  o.customer_id,
  o.amount,
  (o.amount * c.fee)::numeric(12,2) AS fee,
  o.currency
FROM raw_orders AS o
JOIN (VALUES ('web', 0.01), ('app', 0.02), ('store', 0.00), ('partner', 0.15)) AS c (channel, fee) ON c.channel = o.channel
WHERE o.ordered_at >= @partition_start
  AND o.ordered_at < @partition_end
