SET lock_timeout = '2s';
SET statement_timeout = '10s';
TRUNCATE orders; -- here
TRUNCATE TABLE ONLY shop.refunds RESTART IDENTITY; -- here
