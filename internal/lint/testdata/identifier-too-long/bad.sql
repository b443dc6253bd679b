CREATE TABLE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (id int); -- here
CREATE INDEX CONCURRENTLY "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü" ON orders (id); -- here
