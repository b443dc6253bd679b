CREATE INDEX CONCURRENTLY orders_day ON orders (ordered_on); -- here
DROP INDEX CONCURRENTLY orders_number; -- here
REINDEX INDEX CONCURRENTLY orders_state; -- here
ALTER TABLE events DETACH PARTITION events_2025 CONCURRENTLY; -- here
