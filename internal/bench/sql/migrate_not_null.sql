-- Makes a column NOT NULL so that nobody waits while all rows are read: each statement is a transaction. Variables: schema, table.
SET lock_timeout = '2s';
ALTER TABLE :"schema".:"table" ADD CONSTRAINT by_hand CHECK (amount IS NOT NULL) NOT VALID;
ALTER TABLE :"schema".:"table" VALIDATE CONSTRAINT by_hand;
ALTER TABLE :"schema".:"table" ALTER COLUMN amount SET NOT NULL;
ALTER TABLE :"schema".:"table" DROP CONSTRAINT by_hand;
