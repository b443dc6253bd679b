SELECT event_id FROM source_events WHERE event_id >= @partition_start AND event_id < @partition_end
