REINDEX TABLE orders; -- here
