-- Rows of files that could not be read and were left out, where the load allows it. They never leave the warehouse, and are kept 30 days.
CREATE TABLE ledger.reject (
  source      text NOT NULL,               -- the run of the partition, or the landing
  load        text NOT NULL,
  file        text NOT NULL,
  line        bigint NOT NULL,
  column_name text NOT NULL,               -- empty: the row as a whole
  reason      text NOT NULL,
  row_text    text NOT NULL,               -- as the file has it, cut
  at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reject_source ON ledger.reject (source, load);

ALTER TABLE ledger.landing ADD COLUMN rejected bigint NOT NULL DEFAULT 0;
