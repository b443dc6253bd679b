-- Fills a column in the order of the key, in transactions of 5,000 rows, and vacuums five times on the way. Variables: schema, table.
SET search_path = :"schema";
SELECT format('CREATE PROCEDURE pg_temp.fill(INOUT done bigint, INOUT batches int) LANGUAGE plpgsql AS $fill$
DECLARE
  upto bigint;
BEGIN
  WHILE batches > 0 LOOP
    SELECT order_id INTO upto FROM %1$I WHERE order_id > done ORDER BY order_id OFFSET 4999 LIMIT 1;
    IF upto IS NULL THEN
      UPDATE %1$I SET cents = (amount * 100)::bigint WHERE order_id > done AND cents IS NULL;
      COMMIT;
      RETURN;
    END IF;
    UPDATE %1$I SET cents = (amount * 100)::bigint WHERE order_id > done AND order_id <= upto AND cents IS NULL;
    COMMIT;
    done := upto;
    batches := batches - 1;
  END LOOP;
END
$fill$', :'table')
\gexec
\set done 0
CALL pg_temp.fill(:done, 40) \gset
VACUUM :"table";
CALL pg_temp.fill(:done, 40) \gset
VACUUM :"table";
CALL pg_temp.fill(:done, 40) \gset
VACUUM :"table";
CALL pg_temp.fill(:done, 40) \gset
VACUUM :"table";
CALL pg_temp.fill(:done, 1000) \gset
