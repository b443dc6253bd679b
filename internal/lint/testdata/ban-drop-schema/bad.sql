DROP SCHEMA shop; -- here
CREATE SCHEMA scratch;
DROP SCHEMA scratch, archive; -- here
