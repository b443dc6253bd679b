-- What a connection does once, before its days. Variable: schema.
\set ON_ERROR_STOP on
SET timezone = 'UTC';
SET search_path = :"schema";
SET maintenance_work_mem = '256MB';
SET lock_timeout = '10s';
SET synchronous_commit = off; -- the swap waits for the disk, and with it for all that was written before
CREATE TEMP TABLE raw_orders (
  order_id bigint, ordered_at timestamptz, channel text, customer_id bigint, amount numeric(12,2), currency text
);
