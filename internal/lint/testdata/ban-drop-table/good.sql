CREATE TABLE refunds (note text);
DROP TABLE refunds;
DROP VIEW daily;
