CREATE TABLE refunds (id bigint);
ALTER TABLE refunds SET SCHEMA archive;
CREATE TYPE reason AS ENUM ('late');
ALTER TYPE reason SET SCHEMA archive;
