CREATE TABLE refunds (note text);
ALTER TABLE refunds RENAME COLUMN note TO remark;
