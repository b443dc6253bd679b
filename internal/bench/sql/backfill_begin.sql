-- The table that readers see, and what the script notes of each day. Variable: schema.
\set ON_ERROR_STOP on
CREATE SCHEMA :"schema";
CREATE TABLE :"schema".fct_orders (
  order_id bigint, ordered_at timestamptz, ordered_on date, channel text, customer_id bigint, amount numeric(12,2), currency text
) PARTITION BY RANGE (ordered_on);
CREATE TABLE :"schema".published (
  day date, at timestamptz DEFAULT clock_timestamp(), rows bigint, revenue numeric, checksum numeric
);
