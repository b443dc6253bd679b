SELECT order_id, customer_id, ordered_at, amount
FROM orders
WHERE ordered_at >= @partition_start AND ordered_at < @partition_end
