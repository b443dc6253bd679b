-- migrate:up transaction:false
SET lock_timeout = '2s';
SET statement_timeout = '10s';
ALTER TABLE orders ADD COLUMN note text;
ALTER TABLE customers ADD COLUMN note text;
ALTER TABLE shops ADD CONSTRAINT a FOREIGN KEY (b) REFERENCES orders (b) NOT VALID;
