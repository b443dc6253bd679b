SELECT visit_id, visited_at, channel
FROM raw_visits
WHERE channel IS NOT DISTINCT FROM @partition_value
