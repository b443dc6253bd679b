-- The other of the two connections. Variable: schema.
\set ON_ERROR_STOP on
SET search_path = :"schema";
SET maintenance_work_mem = '256MB';
CREATE INDEX ON fct_orders (customer_id);
