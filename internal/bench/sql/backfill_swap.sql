-- Lets a day take the place of the one before it. Variables: day, next, fresh, old (empty: there is none).
BEGIN;
SET LOCAL synchronous_commit = on;
SELECT format('ALTER TABLE fct_orders DETACH PARTITION %I', :'old') WHERE :'old' <> ''
\gexec
ALTER TABLE fct_orders ATTACH PARTITION :"fresh" FOR VALUES FROM (:'day') TO (:'next');
COMMIT;
