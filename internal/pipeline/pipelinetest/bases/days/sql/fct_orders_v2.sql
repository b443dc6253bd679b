SELECT order_id, order_date, channel, amount
FROM raw_orders
WHERE order_date >= @partition_start AND order_date < @partition_end
