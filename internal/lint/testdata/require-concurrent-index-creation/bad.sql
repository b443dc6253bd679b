CREATE INDEX orders_day ON orders (ordered_on); -- here
CREATE UNIQUE INDEX ON shop.orders (number); -- here
