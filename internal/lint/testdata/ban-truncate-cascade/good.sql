CREATE TABLE scratch (id bigint);
TRUNCATE scratch;
TRUNCATE scratch RESTRICT;
