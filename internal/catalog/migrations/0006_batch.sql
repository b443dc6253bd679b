-- Where an environment merges or appends, a generation holds rows of the one that it was built over, and what a batch has added: its
-- lineage is that one, and all that it was built over in turn.
CREATE TABLE ledger.batch (
  generation bigint PRIMARY KEY REFERENCES ledger.generation,
  mode       text NOT NULL CHECK (mode IN ('merge', 'append')),
  kept       bigint REFERENCES ledger.generation, -- whose rows stay in it; NULL: none
  name       text NOT NULL DEFAULT ''             -- of the batch that it adds; empty: it adds none
);
CREATE INDEX batch_kept ON ledger.batch (kept);
