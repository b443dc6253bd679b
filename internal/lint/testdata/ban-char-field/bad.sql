CREATE TABLE countries (
  name text,
  code char(2) -- here
);
ALTER TABLE orders ADD COLUMN country char(2); -- here
