SELECT event_id
FROM raw_events
JOIN customers AS other_customers USING (customer_id)
WHERE event_id >= @partition_start AND event_id < @partition_end
