-- Tables that were there before, and are outputs now without a copy of their rows: a row is written in the transaction that makes them so, and
-- goes in the one that gives the table back.
CREATE TABLE ledger.adoption (
  output     text PRIMARY KEY,
  pipeline   text NOT NULL,
  generation bigint REFERENCES ledger.generation, -- that it became, where the output is one partition; null: it is the legacy partition
  scheme     jsonb NOT NULL,
  first      text NOT NULL,                -- the first partition after the legacy one; empty where the output is one partition
  key_index  text NOT NULL,                -- that was made for it, and goes with the adoption; empty: none
  owner      text NOT NULL,                -- the workflow that adopted it, with its first run
  asked_by   text NOT NULL DEFAULT '',
  reason     text NOT NULL DEFAULT '',
  at         timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE ledger.swap
  DROP CONSTRAINT swap_kind_check,
  ADD CONSTRAINT swap_kind_check CHECK (kind IN ('publish', 'turn_back', 'detach', 'adopt'));

-- What an adoption makes live has a tenure that is never active: it is of no release.
ALTER TABLE ledger.tenure
  DROP CONSTRAINT tenure_kind_check,
  ADD CONSTRAINT tenure_kind_check CHECK (kind IN ('deployment', 'run', 'turn_back', 'adoption'));
