CREATE TABLE refunds (note text, other text);
ALTER TABLE refunds DROP COLUMN note;
