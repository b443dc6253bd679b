-- The environment that first wrote here, for good; and which ledger this is: a restored or copied one gets another epoch,
-- so that a workflow notices that the ledger is not the one that it was told of.
CREATE TABLE ledger.environment (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  name      text NOT NULL,
  epoch     uuid NOT NULL DEFAULT gen_random_uuid(),
  since     timestamptz NOT NULL DEFAULT now()
);

-- The pipeline that first published an output, for good.
CREATE TABLE ledger.output (
  output   text PRIMARY KEY,
  pipeline text NOT NULL,
  since    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX output_pipeline ON ledger.output (pipeline);

-- One activation of (release, config): reserved before its first swap, active from activated_at on. A turn-back opens one
-- of its own. Numbers only grow, so "as of tenure K" is a state that can be gone back to.
CREATE TABLE ledger.tenure (
  number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pipeline     text NOT NULL,
  version      text NOT NULL DEFAULT '',   -- empty, like digest: nothing is active
  digest       text NOT NULL DEFAULT '',
  config       text NOT NULL DEFAULT '',   -- digest of the config that replaces the packed one
  kind         text NOT NULL CHECK (kind IN ('deployment', 'run', 'turn_back')),
  owner        text NOT NULL,              -- the workflow that opened it, with its first run
  plan         text NOT NULL DEFAULT '',
  asked_by     text NOT NULL DEFAULT '',
  reason       text NOT NULL DEFAULT '',
  reserved_at  timestamptz NOT NULL DEFAULT now(),
  activated_at timestamptz,
  watched_until timestamptz               -- its deployment watches, and could go back to what it replaced; by then at the latest it has ended
);
CREATE UNIQUE INDEX tenure_owner ON ledger.tenure (pipeline, owner) WHERE kind <> 'turn_back';
CREATE INDEX tenure_pipeline ON ledger.tenure (pipeline, number);

-- What runs of a pipeline use; no row, or a tenure of no release: nothing.
CREATE TABLE ledger.active (
  pipeline text PRIMARY KEY,
  tenure   bigint NOT NULL REFERENCES ledger.tenure
);

-- Who changes a pipeline here. The row stays until its workflow has ended, in whatever way.
CREATE TABLE ledger.crossing (
  pipeline text PRIMARY KEY,
  owner    text NOT NULL,
  tenure   bigint NOT NULL REFERENCES ledger.tenure,
  exclusive boolean NOT NULL DEFAULT false, -- the pipeline's runs wait until it has published
  since    timestamptz NOT NULL DEFAULT now()
);

-- A backfill, from before its first publish: it holds its span against others. The row stays open until its workflow has ended, in
-- whatever way.
CREATE TABLE ledger.backfill (
  owner    text PRIMARY KEY,
  pipeline text NOT NULL,
  tenure   bigint NOT NULL REFERENCES ledger.tenure,
  plan     text NOT NULL,                  -- digest of what is built
  digest   text NOT NULL,                  -- of the release that is built, which is another one than the active where people approved that
  config   text NOT NULL,
  first    text NOT NULL,                  -- of the span, both ends included
  last     text NOT NULL,
  asks     boolean NOT NULL,               -- it is above a limit: people have to approve its plan
  asked_by text NOT NULL DEFAULT '',
  reason   text NOT NULL DEFAULT '',
  since    timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz
);
CREATE INDEX backfill_open ON ledger.backfill (pipeline) WHERE ended_at IS NULL;

-- A turn-back, from before its first swap: the same command resumes an open one, and nothing else changes the pipeline.
CREATE TABLE ledger.turn_back (
  tenure        bigint PRIMARY KEY REFERENCES ledger.tenure,
  pipeline      text NOT NULL,
  was           bigint NOT NULL DEFAULT 0, -- the tenure that was active before
  back          bigint NOT NULL DEFAULT 0, -- the tenure that is active again through it
  target_tenure bigint NOT NULL DEFAULT 0, -- back to this tenure, or
  target_owner  text NOT NULL DEFAULT '',  -- back to as before this workflow
  output        text NOT NULL DEFAULT '',  -- only this partition of this output
  partition     text NOT NULL DEFAULT '',
  generation    bigint NOT NULL DEFAULT 0, -- and back to this generation
  snapshot      boolean NOT NULL DEFAULT false,
  detach        boolean NOT NULL DEFAULT false, -- outputs that the target's release does not have
  by_person     boolean NOT NULL,
  driver        text NOT NULL,             -- the workflow that goes on with it: who opened it, or took it up last
  state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'stuck')),
  since         timestamptz NOT NULL DEFAULT now(),
  ended_at      timestamptz
);
CREATE UNIQUE INDEX turn_back_open ON ledger.turn_back (pipeline) WHERE state = 'open';

-- What a turn-back could not bring back, or left by rule, and why.
CREATE TABLE ledger.left_over (
  turn_back bigint NOT NULL REFERENCES ledger.turn_back,
  output    text NOT NULL,
  partition text NOT NULL,
  stuck     boolean NOT NULL,              -- it should have gone back
  reason    text NOT NULL,
  at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (turn_back, output, partition)
);

-- While a hold stands nothing is published here, but what turns back.
CREATE TABLE ledger.hold (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  reason      text NOT NULL,
  set_by      text NOT NULL,
  set_in      text NOT NULL,               -- the workflow that asked, with its first run
  since       timestamptz NOT NULL DEFAULT now(),
  released_by text NOT NULL DEFAULT '',
  released_in text NOT NULL DEFAULT '',
  released_at timestamptz
);
CREATE UNIQUE INDEX hold_standing ON ledger.hold ((true)) WHERE released_at IS NULL;

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
  config           text NOT NULL,          -- digest of the config that replaced the packed one; empty: the packed one
  owner_key        text NOT NULL,          -- the workflow that builds it, with its first run
  tenure           bigint NOT NULL,        -- under which it is built
  replaced         bigint,                 -- what it replaced at its first publish, 0: nothing; written once
  effect_key       text NOT NULL,
  control          boolean NOT NULL,       -- built to be compared with, never to be published
  baseline         bigint,                 -- live when the build began: a publish replaces that one and no other
  fence            uuid NOT NULL,          -- of the attempt that builds it: nobody else may move it out of 'building'
  application      text NOT NULL,
  backend_pid      int NOT NULL,           -- the attempt's session: a later attempt ends it
  backend_start    timestamptz NOT NULL,
  moment           timestamptz NOT NULL,   -- what @now stood for while it was built and audited
  scheme           jsonb NOT NULL,
  lower            text NOT NULL,
  upper            text NOT NULL,
  child            oid,
  owner            oid,
  columns          jsonb NOT NULL DEFAULT '[]', -- ordered; the checksum covers exactly these
  returned         text[] NOT NULL DEFAULT '{}', -- columns that the SELECT returned: a run of the same release returns the same
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
CREATE INDEX generation_owner ON ledger.generation (owner_key) WHERE state IN ('building', 'built', 'shadow');
CREATE INDEX generation_effect ON ledger.generation (effect_key, output);
CREATE INDEX generation_output ON ledger.generation (output, id);
CREATE INDEX generation_scheme ON ledger.generation (output, state, scheme);

-- Tables between an output that is cut into ranges and its generations, c<id> in <schema>__data. Of a chunk one at most hangs in the
-- output; the others stand aside, with generations that nobody reads.
CREATE TABLE ledger.chunk (
  id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  output text NOT NULL,
  chunk  text NOT NULL
);
CREATE INDEX chunk_of ON ledger.chunk (output, chunk);

-- Files that are not cut by partition: each is loaded once for a workflow and round, into a table of <schema>__data.
CREATE TABLE ledger.landing (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  owner         text NOT NULL,
  round         int NOT NULL,
  name          text NOT NULL,             -- of the load
  file          text NOT NULL,
  shape         text NOT NULL,             -- digest of how the file is read
  state         text NOT NULL CHECK (state IN ('loading', 'loaded', 'over', 'dropped')),
  backend_pid   int NOT NULL,              -- the session that loads it: it is given up when that has ended
  backend_start timestamptz NOT NULL,
  digest        text NOT NULL DEFAULT '',  -- of the file's bytes
  rows          bigint NOT NULL DEFAULT 0,
  reason        text NOT NULL DEFAULT '',  -- why it is over
  at            timestamptz NOT NULL DEFAULT now() -- when it reached its state, was used, or was heard of
);
CREATE UNIQUE INDEX landing_open ON ledger.landing (owner, round, name, shape) WHERE state IN ('loading', 'loaded');
CREATE INDEX landing_there ON ledger.landing (id) WHERE state <> 'dropped';

-- What readers see of a partition; NULL: nothing. Its row is the lock of everyone who swaps that partition.
CREATE TABLE ledger.live (
  output     text NOT NULL,
  partition  text COLLATE "C" NOT NULL,
  generation bigint REFERENCES ledger.generation,
  tenure     bigint NOT NULL DEFAULT 0, -- of the swap that made it so
  PRIMARY KEY (output, partition)
);
CREATE INDEX live_partition ON ledger.live (partition);

-- An effect is done exactly when its row is there: both commit together.
CREATE TABLE ledger.effect (
  key    text PRIMARY KEY,
  kind   text NOT NULL,
  result jsonb NOT NULL DEFAULT '{}',
  at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX effect_swaps ON ledger.effect (at) WHERE kind IN ('publish', 'turn_back');

-- Has no row: its lock is what changes of pipelines hold, and what fences wait for.
CREATE TABLE ledger.change ();

-- Workflows that change nothing here any more: what they built is given up, what they do next is refused.
CREATE TABLE ledger.fence (
  owner  text PRIMARY KEY,
  reason text NOT NULL,
  at     timestamptz NOT NULL DEFAULT now()
);

-- Every change of what is live, in order, with who asked for it and why.
CREATE TABLE ledger.swap (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenure          bigint NOT NULL REFERENCES ledger.tenure,
  owner           text NOT NULL,
  effect_key      text NOT NULL,
  kind            text NOT NULL CHECK (kind IN ('publish', 'turn_back', 'detach')),
  output          text NOT NULL,
  partition       text NOT NULL,
  from_generation bigint REFERENCES ledger.generation,
  to_generation   bigint REFERENCES ledger.generation,
  asked_by        text NOT NULL DEFAULT '',
  reason          text NOT NULL DEFAULT '',
  at              timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX swap_owner ON ledger.swap (owner, id);
CREATE INDEX swap_partition ON ledger.swap (output, partition, id);
CREATE INDEX swap_recent ON ledger.swap (at, id);

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

-- What people answered at a gate, one by one: whoever publishes holds them against this environment's own rule.
CREATE TABLE ledger.answer (
  id      bigint GENERATED ALWAYS AS IDENTITY, -- in the order of recording: of decisions about one thing the last one counts
  owner   text NOT NULL,                   -- the workflow that asked
  plan    text NOT NULL,
  digest  text NOT NULL,                   -- of the release that it is about
  about   text[] NOT NULL DEFAULT '{}',    -- the effect, the generations and the sessions that it decides about
  gate    text NOT NULL,
  person  text NOT NULL,
  choice  text NOT NULL,
  reason  text NOT NULL,
  asked_by text NOT NULL,
  at      timestamptz NOT NULL,
  PRIMARY KEY (owner, plan, gate, person, choice)
);

-- What smoke and canary found of a tenure's release, each time that they looked: the last time counts. Whoever looks writes it.
CREATE TABLE ledger.verdict (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  effect_key text NOT NULL,
  stage      text NOT NULL CHECK (stage IN ('smoke', 'canary')),
  tenure     bigint NOT NULL REFERENCES ledger.tenure,
  owner      text NOT NULL,                -- the workflow that looked, with its first run
  plan       text NOT NULL,
  round      int NOT NULL,
  outcome    text NOT NULL CHECK (outcome IN ('pass', 'fail', 'inconclusive', 'none')),
  reason     text NOT NULL,
  evidence   jsonb NOT NULL,
  compared   jsonb NOT NULL,               -- the generations that it is about, with what each replaces and was compared with
  about      text[] NOT NULL,              -- what people have to accept where it is inconclusive
  at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (effect_key, stage)
);
CREATE INDEX verdict_tenure ON ledger.verdict (tenure, stage, id);

-- What each output of a release read when it was built, as the server saw it.
CREATE TABLE ledger.read_set (
  digest text NOT NULL,
  output text NOT NULL,
  reads  text NOT NULL,
  PRIMARY KEY (digest, output, reads)
);

-- What a release was seen to give for a range of neighbouring partitions, held against what it gives for them one by one.
CREATE TABLE ledger.batch_proof (
  digest     text NOT NULL,                -- of the release
  config     text NOT NULL,
  difference text NOT NULL,                -- empty: none, and batches may be built
  partitions text[] NOT NULL,              -- what it was tried on
  at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (digest, config)
);

-- Keys of failing or differing rows. They never leave the warehouse, and are kept 30 days.
CREATE TABLE ledger.sample (
  generation bigint NOT NULL REFERENCES ledger.generation ON DELETE CASCADE,
  subject    text NOT NULL,                -- the check, or the kind of difference
  key        text NOT NULL,
  at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sample_generation ON ledger.sample (generation, subject);

-- What people are owed to be told of what has happened: a row for each event and receiver. It is kept for a while when they were told,
-- so that nothing is owed twice.
CREATE TABLE ledger.notice (
  number   bigint GENERATED ALWAYS AS IDENTITY,
  id       text NOT NULL,                  -- of the event
  receiver text NOT NULL,                  -- as the policy names it
  owner    text NOT NULL,                  -- the workflow whose event it is, with its first run
  kind     text NOT NULL,
  question text NOT NULL DEFAULT '',       -- the gate that it reminds of: it is owed only while that is open
  event    jsonb NOT NULL,
  due      timestamptz NOT NULL,           -- when they are told, or it is tried again
  tries    int NOT NULL DEFAULT 0,         -- that have failed
  failure  text NOT NULL DEFAULT '',       -- why the last one has
  at       timestamptz NOT NULL DEFAULT now(),
  told_at  timestamptz,
  PRIMARY KEY (id, receiver)
);
CREATE INDEX notice_owed ON ledger.notice (receiver, due) WHERE told_at IS NULL;
CREATE INDEX notice_owner ON ledger.notice (owner, kind);

-- How many times of a pipeline's schedule Temporal has missed, as far as people were told.
CREATE TABLE ledger.missed (
  pipeline text PRIMARY KEY,
  since    timestamptz NOT NULL,           -- when the schedule was made: another one counts anew
  times    int NOT NULL
);

-- A migration of a table in place, from before its first step: it holds its table against others. The row stays open until it is done
-- or rolled back; who takes it over takes the row.
CREATE TABLE ledger.migration (
  owner      text PRIMARY KEY,             -- the workflow that drives it, with its first run
  pipeline   text NOT NULL,
  name       text NOT NULL,                -- of its file
  table_name text NOT NULL,
  plan       text NOT NULL,                -- digest
  digest     text NOT NULL,                -- of the release whose file it is
  config     text NOT NULL,
  phase      text NOT NULL DEFAULT 'expand'
    CHECK (phase IN ('expand', 'dual_write', 'backfill', 'verify', 'switch', 'deprecate', 'contract')),
  phase_since timestamptz NOT NULL DEFAULT now(), -- when it began
  back       boolean NOT NULL DEFAULT false, -- its steps are undone: none is done any more
  brownout_since timestamptz,              -- when it began last
  brownout_until timestamptz,              -- when that ended; null: it is on, or none has begun
  brownout_held  boolean NOT NULL DEFAULT false, -- it was on for as long as the plan says
  asked_by   text NOT NULL DEFAULT '',
  reason     text NOT NULL DEFAULT '',
  since      timestamptz NOT NULL DEFAULT now(),
  ended_at   timestamptz,
  outcome    text NOT NULL DEFAULT '' CHECK (outcome IN ('', 'done', 'rolled_back')),
  -- Of a table that the pipeline's releases make: the columns that they give until contract may begin, those that they have to give from
  -- dual write on, and those that whatever is published has to give now.
  old_given  text[] NOT NULL DEFAULT '{}',
  new_given  text[] NOT NULL DEFAULT '{}',
  gives      text[] NOT NULL DEFAULT '{}',
  give_up    boolean NOT NULL DEFAULT false -- generations that lack what is new are given up at contract
);
CREATE UNIQUE INDEX migration_open ON ledger.migration (table_name) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX migration_done ON ledger.migration (pipeline, name) WHERE outcome = 'done';
CREATE INDEX migration_pipeline ON ledger.migration (pipeline, since);

-- Rights on a migration's table that its brownout has taken, as they were: it gives back just these, whatever roles and columns are called then.
CREATE TABLE ledger.migration_right (
  owner     text NOT NULL REFERENCES ledger.migration ON UPDATE CASCADE,
  grantee   oid NOT NULL,                  -- a role; 0: everybody
  privilege text NOT NULL,                 -- SELECT, INSERT, UPDATE
  attnum    smallint NOT NULL,             -- of a column; 0: on the whole table
  grantable boolean NOT NULL,
  given     smallint[] NOT NULL,           -- columns that are left to the role in place of the whole table
  PRIMARY KEY (owner, grantee, privilege, attnum)
);

-- Consumers that are ready for what a migration takes away.
CREATE TABLE ledger.migration_ack (
  owner    text NOT NULL REFERENCES ledger.migration ON UPDATE CASCADE,
  consumer text NOT NULL,
  said_by  text NOT NULL,
  reason   text NOT NULL DEFAULT '',
  at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (owner, consumer)
);

-- How far a migration has brought the rows of its table over: committed with each batch.
CREATE TABLE ledger.migration_cursor (
  owner    text PRIMARY KEY REFERENCES ledger.migration ON UPDATE CASCADE,
  filenode oid NOT NULL,                   -- of the table, when places of rows are what it counts by
  last     text[] NOT NULL,                -- the key of the last row that was looked at, or the next page; empty: none yet
  upper    text[] NOT NULL,                -- the last key, or the number of pages, when it began; empty: there was no row
  rows     bigint NOT NULL DEFAULT 0,      -- that it has looked at
  total    bigint NOT NULL,                -- about how many there were; -1: unknown
  batch    int NOT NULL,                   -- rows of the next batch
  attempt  bigint NOT NULL DEFAULT 0,      -- who came last: nobody else writes a batch any more
  done     boolean NOT NULL DEFAULT false
);

-- Keys of rows that a migration cannot bring over, or that are not as they have to be. They never leave the warehouse, and are kept 30 days.
CREATE TABLE ledger.migration_sample (
  owner   text NOT NULL REFERENCES ledger.migration ON UPDATE CASCADE,
  subject text NOT NULL,                   -- the proof, or the column that was filled
  key     text NOT NULL,
  at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX migration_sample_of ON ledger.migration_sample (owner, subject);

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
