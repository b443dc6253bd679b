-- How the table came, before there was any pipeline. It is made in the first schema of the search_path.
CREATE TABLE customers (
  id         bigint PRIMARY KEY,
  name       text NOT NULL,
  store_id   int,  -- where the customer came in; null: on the web
  turnover   numeric(12,2) NOT NULL DEFAULT 0,
  created_on date NOT NULL
);

INSERT INTO customers (id, name, store_id, turnover, created_on)
SELECT i, 'customer ' || i, CASE WHEN i % 3 = 0 THEN i % 40 END, i % 900, DATE '2025-01-01' + i % 365
FROM generate_series(1, 20000) AS i;

ANALYZE customers;
