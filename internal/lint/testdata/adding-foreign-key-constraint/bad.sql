ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id); -- here
ALTER TABLE orders ADD COLUMN shop_id bigint REFERENCES shops (id); -- here
