SET lock_timeout = '2s';
SET statement_timeout = '10s';
CREATE TABLE refunds (note text);
ALTER TABLE refunds RENAME TO returns;
ALTER TABLE returns RENAME COLUMN note TO remark;
ALTER TABLE orders RENAME CONSTRAINT a TO b;
