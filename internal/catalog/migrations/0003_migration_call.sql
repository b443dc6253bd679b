-- What roles have called of statements that name what a migration takes away, since its switch: numbers of the server's own, and no text.
ALTER TABLE ledger.migration ADD COLUMN calls_since timestamptz; -- when they were first counted

CREATE TABLE ledger.migration_call (
  owner   text NOT NULL REFERENCES ledger.migration ON UPDATE CASCADE,
  role    text NOT NULL,
  query   bigint NOT NULL,                 -- the server's number of the statement
  columns text[] NOT NULL,                 -- that it names
  guessed boolean NOT NULL,                -- they may be another table's
  counted bigint NOT NULL,                 -- calls as the server had them at the last look
  calls   bigint NOT NULL DEFAULT 0,       -- since the first look
  last    timestamptz,                     -- the last look that found more of them
  PRIMARY KEY (owner, role, query)
);
