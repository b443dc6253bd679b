-- migrate:up transaction:false
DROP DATABASE shop; -- here
DROP DATABASE IF EXISTS shop WITH (FORCE); -- here
