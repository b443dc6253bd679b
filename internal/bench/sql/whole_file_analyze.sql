-- Last: statistics of the table and all its partitions. Variable: schema.
\set ON_ERROR_STOP on
SET search_path = :"schema";
ANALYZE fct_orders;
