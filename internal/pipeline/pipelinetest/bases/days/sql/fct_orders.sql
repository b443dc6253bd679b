SELECT order_id, @partition_start::date AS order_date, channel, amount
FROM raw_orders AS other_orders
