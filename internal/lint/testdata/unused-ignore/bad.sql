-- drawbridge:ignore ban-drop-table nobody reads it -- here
SELECT 1;
-- drawbridge:ignore ban-dorp-table nobody reads it -- here
SELECT 2;
-- drawbridge:ignore -- here
