SET lock_timeout = '2s';
SET statement_timeout = '10s';
ALTER TABLE events DETACH PARTITION events_2025; -- here
