SELECT o.order_id, o.ordered_at::date AS ordered_on, o.customer_id, coalesce(c.segment, 'guest') AS segment, o.amount
FROM raw_orders AS o
LEFT JOIN customers AS c ON c.customer_id = o.customer_id
