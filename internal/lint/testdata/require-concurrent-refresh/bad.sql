SET lock_timeout = '2s';
SET statement_timeout = '10s';
REFRESH MATERIALIZED VIEW daily; -- here
REFRESH MATERIALIZED VIEW daily WITH NO DATA; -- here
