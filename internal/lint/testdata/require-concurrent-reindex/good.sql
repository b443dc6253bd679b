-- migrate:up transaction:false
REINDEX TABLE CONCURRENTLY orders;
