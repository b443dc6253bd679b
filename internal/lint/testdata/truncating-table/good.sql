DELETE FROM orders WHERE id BETWEEN 1 AND 1000;
CREATE TABLE scratch (id bigint);
TRUNCATE scratch;
