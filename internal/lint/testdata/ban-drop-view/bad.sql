DROP VIEW daily, shop.weekly; -- here
DROP MATERIALIZED VIEW IF EXISTS monthly; -- here
CREATE OR REPLACE VIEW yearly AS SELECT 1 AS year;
DROP VIEW yearly; -- here
