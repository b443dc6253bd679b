-- The rows of a large table or partition are brought over in portions, each with a cursor of its own, by several lanes.
ALTER TABLE ledger.migration_cursor
  ADD COLUMN part int NOT NULL DEFAULT 0,  -- of the leaf, in the order of its key
  DROP CONSTRAINT migration_cursor_pkey,
  ADD PRIMARY KEY (owner, leaf, part);
