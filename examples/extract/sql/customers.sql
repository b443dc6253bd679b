SELECT customer_id, segment
FROM customer
