-- One built version of one partition of one output. A row is written before its child table is created, so that
-- no child ever exists that the ledger does not know.
CREATE TABLE ledger.generation (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  output           text NOT NULL,
  partition        text NOT NULL,
  state            text NOT NULL CHECK (state IN ('building', 'built', 'shadow', 'live', 'retired', 'rejected', 'dropped')),
  pipeline         text NOT NULL,
  version          text NOT NULL,
  digest           text NOT NULL,
  effect_key       text NOT NULL,
  control          boolean NOT NULL,       -- built to be compared with, never to be published
  baseline         bigint,                 -- live when the build began: a publish replaces that one and no other
  fence            uuid NOT NULL,          -- of the attempt that builds it: nobody else may move it out of 'building'
  application      text NOT NULL,
  backend_pid      int NOT NULL,           -- the attempt's session: a later attempt ends it
  backend_start    timestamptz NOT NULL,
  scheme           jsonb NOT NULL,
  lower            text NOT NULL,
  upper            text NOT NULL,
  child            oid,
  owner            oid,
  columns          jsonb NOT NULL DEFAULT '[]', -- ordered; the checksum covers exactly these
  rows             bigint,
  loaded           bigint,
  checksum         numeric,
  inputs           text NOT NULL DEFAULT '',
  audit            text CHECK (audit IN ('pass', 'fail', 'inconclusive')),
  built_xid        xid8,                   -- wrote the child's rows: snapshots that precede it may not see them
  older            text[] NOT NULL DEFAULT '{}', -- transactions with such snapshots, listed right after its commit
  listed_at        timestamptz,            -- the moment of that list
  shadow           text NOT NULL DEFAULT '', -- the deployment in whose shadow parent the child hangs
  reason           text NOT NULL DEFAULT '',
  not_reattachable text NOT NULL DEFAULT '',
  seconds          double precision,
  started_at       timestamptz NOT NULL DEFAULT now(),
  built_at         timestamptz,
  at               timestamptz NOT NULL DEFAULT now() -- when it reached its state
);
CREATE UNIQUE INDEX generation_live ON ledger.generation (output, partition) WHERE state = 'live';
CREATE UNIQUE INDEX generation_building ON ledger.generation (effect_key, output) WHERE state = 'building';
CREATE INDEX generation_effect ON ledger.generation (effect_key, output);
CREATE INDEX generation_output ON ledger.generation (output, id);

-- What readers see of a partition; NULL: nothing. Its row is the lock of everyone who swaps that partition.
CREATE TABLE ledger.live (
  output     text NOT NULL,
  partition  text NOT NULL,
  generation bigint REFERENCES ledger.generation,
  PRIMARY KEY (output, partition)
);

-- An effect is done exactly when its row is there: both commit together.
CREATE TABLE ledger.effect (
  key    text PRIMARY KEY,
  kind   text NOT NULL,
  result jsonb NOT NULL DEFAULT '{}',
  at     timestamptz NOT NULL DEFAULT now()
);

-- Workflows whose effects are being turned back: nothing happens under their keys any more, but under key/undo/.
CREATE TABLE ledger.fence (
  key text PRIMARY KEY,
  at  timestamptz NOT NULL DEFAULT now()
);

-- Every change of what is live, in order.
CREATE TABLE ledger.swap (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  effect_key      text NOT NULL,
  kind            text NOT NULL CHECK (kind IN ('publish', 'rollback')),
  output          text NOT NULL,
  partition       text NOT NULL,
  from_generation bigint REFERENCES ledger.generation,
  to_generation   bigint REFERENCES ledger.generation,
  at              timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX swap_effect ON ledger.swap (effect_key text_pattern_ops);
CREATE INDEX swap_partition ON ledger.swap (output, partition, id);

-- The release that runs of a pipeline use, and every change of it.
CREATE TABLE ledger.active_release (
  pipeline   text PRIMARY KEY,
  version    text NOT NULL,
  digest     text NOT NULL,
  effect_key text NOT NULL,
  since      timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE ledger.release_event (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pipeline         text NOT NULL,
  version          text,                   -- NULL: no release is active any more
  digest           text,
  previous_version text,
  previous_digest  text,
  effect_key       text NOT NULL,
  at               timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX release_event_pipeline ON ledger.release_event (pipeline, id);

-- The audit of a generation; also the history that vs_history compares with.
CREATE TABLE ledger.check_result (
  generation bigint NOT NULL REFERENCES ledger.generation ON DELETE CASCADE,
  name       text NOT NULL,
  kind       text NOT NULL,
  severity   text NOT NULL,
  outcome    text NOT NULL,
  value      double precision,
  threshold  text NOT NULL DEFAULT '',
  reason     text NOT NULL DEFAULT '',
  failing    bigint,
  rows       bigint NOT NULL,
  PRIMARY KEY (generation, name)
);

-- An approval gate that closed: prod's publish reads it here and trusts no caller.
CREATE TABLE ledger.approval (
  plan_digest text NOT NULL,
  environment text NOT NULL,
  gate        text NOT NULL,
  decision    text NOT NULL,
  answers     jsonb NOT NULL,
  at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (plan_digest, environment, gate)
);

-- Keys of failing or differing rows. They never leave the warehouse, and are kept 30 days.
CREATE TABLE ledger.sample (
  generation bigint NOT NULL REFERENCES ledger.generation ON DELETE CASCADE,
  subject    text NOT NULL,                -- the check, or the kind of difference
  key        text NOT NULL,
  at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sample_generation ON ledger.sample (generation, subject);

-- A published child is replaced, never written: its recorded checksum must stay true for a rollback to trust it.
CREATE FUNCTION ledger.refuse_write() RETURNS trigger
LANGUAGE plpgsql
SET search_path = ''
AS $$
BEGIN
  RAISE EXCEPTION '% is a generation: a run replaces it, nobody writes it in place', TG_RELID::regclass
    USING ERRCODE = 'object_not_in_prerequisite_state';
END
$$;
