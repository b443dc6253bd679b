REINDEX TABLE orders; -- here
REINDEX (CONCURRENTLY false) INDEX orders_day; -- here
REINDEX SCHEMA shop; -- here
