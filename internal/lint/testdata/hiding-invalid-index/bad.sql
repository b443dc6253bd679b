-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_day ON orders (ordered_on); -- here
