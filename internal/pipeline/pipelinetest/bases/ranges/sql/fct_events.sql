SELECT event_id FROM raw_events WHERE event_id >= @partition_start AND event_id < @partition_end
