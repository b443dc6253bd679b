CREATE TABLE scratch (id bigint);
TRUNCATE scratch;
TRUNCATE scratch CASCADE;
