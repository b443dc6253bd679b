SET lock_timeout = '2s';
SET statement_timeout = '10s';
CREATE TABLE countries (name text, code text CHECK (length(code) = 2), flag "char");
ALTER TABLE orders ADD COLUMN country text;
