-- Where a key is unique over all partitions of an output, a publish holds what goes live to it.
ALTER TABLE ledger.generation
  ADD COLUMN unique_key text[] NOT NULL DEFAULT '{}';  -- the columns; empty: the key is unique within the partition only
