-- The rows of a partitioned table are brought over partition by partition, each with a cursor of its own.
ALTER TABLE ledger.migration_cursor
  ADD COLUMN leaf oid NOT NULL DEFAULT 0,  -- the partition; 0: the table itself
  DROP CONSTRAINT migration_cursor_pkey,
  ADD PRIMARY KEY (owner, leaf);
