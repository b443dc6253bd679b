CREATE TABLE refunds (note text);
DROP TABLE refunds;
