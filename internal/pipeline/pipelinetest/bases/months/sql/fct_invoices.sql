WITH source AS (SELECT * FROM invoices WHERE issued_on >= @partition_start AND issued_on < @partition_end)
SELECT * FROM source;
