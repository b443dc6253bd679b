ALTER TABLE orders ADD PRIMARY KEY (id); -- here
ALTER TABLE orders ADD COLUMN id bigint PRIMARY KEY; -- here
