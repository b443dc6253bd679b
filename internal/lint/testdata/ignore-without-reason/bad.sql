SET lock_timeout = '2s';
SET statement_timeout = '10s';
-- drawbridge:ignore ban-drop-table
DROP TABLE orders;
