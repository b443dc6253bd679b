-- One of the two connections that index what whole_file.sql has filled, at the same time. Variable: schema.
\set ON_ERROR_STOP on
SET search_path = :"schema";
SET maintenance_work_mem = '256MB';
CREATE UNIQUE INDEX ON fct_orders (order_id, ordered_on);
