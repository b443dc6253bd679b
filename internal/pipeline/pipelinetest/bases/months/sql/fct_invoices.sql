WITH source AS (SELECT * FROM raw_invoices AS invoices WHERE issued_on >= @partition_start AND issued_on < @partition_end)
SELECT * FROM source;
