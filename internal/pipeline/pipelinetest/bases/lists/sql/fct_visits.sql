SELECT visit_id, channel FROM raw_visits WHERE channel = @partition_value
