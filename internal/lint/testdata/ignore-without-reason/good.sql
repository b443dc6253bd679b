SET lock_timeout = '2s';
SET statement_timeout = '10s';
-- drawbridge:ignore ban-drop-table nobody has read it since May
DROP TABLE orders;
