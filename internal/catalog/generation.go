package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// Generation is a row of the ledger: a generation with what only the warehouse needs to know of it.
type Generation struct {
	ID              int64               `db:"id"`
	Output          string              `db:"output"`
	Partition       partition.Key       `db:"partition"`
	State           generation.State    `db:"state"`
	Pipeline        string              `db:"pipeline"`
	Version         string              `db:"version"`
	Digest          string              `db:"digest"`
	Config          string              `db:"config"`
	Owner           string              `db:"owner_key"` // the workflow that builds it
	Tenure          int64               `db:"tenure"`    // under which it is built
	Replaced        int64               `db:"replaced"`  // at its first publish; 0: nothing, or not published yet
	EffectKey       string              `db:"effect_key"`
	Control         bool                `db:"control"`
	Baseline        int64               `db:"baseline"` // live when the build began; 0: nothing was
	Fence           string              `db:"fence"`
	Application     string              `db:"application"`
	Moment          time.Time           `db:"moment"` // what @now stood for
	Scheme          partition.Scheme    `db:"scheme"`
	Lower           string              `db:"lower"`
	Upper           string              `db:"upper"`
	Child           uint32              `db:"child"` // OID; 0 before the child exists and after it was dropped
	ChildOwner      uint32              `db:"owner"` // OID of the child's owner as recorded when it was built
	Columns         []generation.Column `db:"columns"`
	Returned        []string            `db:"returned"` // by the SELECT
	Rows            int64               `db:"rows"`
	Loaded          int64               `db:"loaded"`
	Checksum        string              `db:"checksum"`
	Inputs          string              `db:"inputs"`
	Audit           gate.Outcome        `db:"audit"`
	BuiltXID        string              `db:"built_xid"` // the transaction that wrote its rows
	Older           []string            `db:"older"`     // transactions that may not see them, as listed right after its commit
	ListedAt        time.Time           `db:"-"`         // the moment of that list
	Shadow          string              `db:"shadow"`
	Reason          string              `db:"reason"`
	NotReattachable string              `db:"not_reattachable"`
	// Mode is how a build keeps rows that are live, Kept whose rows they are (0: none), and Batch what it adds to them (empty: nothing
	// by a name). The ledger has them apart.
	Mode  string `db:"-"`
	Kept  int64  `db:"-"`
	Batch string `db:"-"`
	// Rewritten is how many bytes of what was live the build has written again.
	Rewritten int64     `db:"-"`
	Seconds   float64   `db:"seconds"`
	StartedAt time.Time `db:"started_at"`
	At        time.Time `db:"at"`
	// Session and SessionStart name the session in which an attempt's SQL runs, when it is entered: a later attempt ends it.
	Session      int32     `db:"-"`
	SessionStart time.Time `db:"-"`
}

// generationColumns selects a Generation from an alias g.
const generationColumns = `
	g.id, g.output, g.partition, g.state, g.pipeline, g.version, g.digest, g.config, g.owner_key, g.tenure,
	coalesce(g.replaced, 0) AS replaced, g.effect_key, g.control,
	coalesce(g.baseline, 0) AS baseline, g.fence::text AS fence,
	g.application, g.moment, g.scheme, g.lower, g.upper, coalesce(g.child, 0) AS child, coalesce(g.owner, 0) AS owner, g.columns, g.returned,
	coalesce(g.rows, 0) AS rows, coalesce(g.loaded, 0) AS loaded, coalesce(g.checksum::text, '') AS checksum, g.inputs,
	coalesce(g.audit, '') AS audit, coalesce(g.built_xid::text, '') AS built_xid, g.older, g.shadow, g.reason,
	` + notReattachable + ` AS not_reattachable, coalesce(g.seconds, 0) AS seconds, g.started_at, g.at`

// Gives are the columns that it has of those that its SELECT returned: migrations have taken the others away, and where one of their names
// comes back it has no value there.
func (g Generation) Gives() []string {
	return slices.DeleteFunc(slices.Clone(g.Returned), func(name string) bool {
		return !slices.ContainsFunc(g.Columns, func(c generation.Column) bool { return c.Name == name })
	})
}

// Plan is the part of the row that crosses boundaries.
func (g Generation) Plan() generation.Generation {
	return generation.Generation{
		ID: g.ID, Output: g.Output, Partition: g.Partition, State: g.State, Release: g.Release(), Config: g.Config, Began: g.StartedAt,
		Rows: g.Rows, Checksum: g.Checksum, Inputs: g.Inputs, NotReattachable: g.NotReattachable, At: g.At,
	}
}

// Release is the release that built it.
func (g Generation) Release() release.Release {
	return release.Release{Pipeline: g.Pipeline, Version: g.Version, Digest: g.Digest}
}

// Bounds are the limits of its partition.
func (g Generation) Bounds() partition.Bounds {
	return partition.Bounds{Lower: g.Lower, Upper: g.Upper}
}

// Reserve enters new generations in state building, of the attempts that hold their fences, sets each one's ID and Baseline, and
// enters the rows that publishes of their partitions lock. Earlier attempts of the same effects that are still building are rejected: from
// here on they cannot become anything, however long their sessions live.
func (l Ledger) Reserve(ctx context.Context, q Querier, generations ...*Generation) error {
	var statements []statement
	for _, g := range generations {
		scheme, err := json.Marshal(g.Scheme)
		if err != nil {
			return fmt.Errorf("encode the scheme of %s: %w", g.Output, err)
		}
		var ended bool
		statements = append(statements, statement{
			what: "end earlier attempts of " + g.EffectKey, into: []any{&ended}, args: []any{g.EffectKey, g.Output, g.Session}, sql: `
				SELECT pg_terminate_backend(a.pid)
				FROM ledger.generation g
				JOIN pg_stat_activity a ON a.pid = g.backend_pid AND a.backend_start = g.backend_start
				WHERE g.effect_key = $1 AND g.output = $2 AND g.state = 'building' AND a.pid <> $3`,
		}, statement{
			what: "supersede earlier attempts of " + g.EffectKey, args: []any{g.EffectKey, g.Output}, sql: `
				UPDATE ledger.generation
				SET state = 'rejected', reason = 'superseded by a later attempt', at = now()
				WHERE effect_key = $1 AND output = $2 AND state = 'building'`,
		}, statement{
			what: fmt.Sprintf("enter partition %s of %s", g.Partition, g.Output), args: []any{g.Output, g.Partition}, sql: `
				INSERT INTO ledger.live (output, partition)
				VALUES ($1, $2)
				ON CONFLICT DO NOTHING`,
		}, statement{
			what: "reserve a generation of " + g.Output, into: []any{&g.ID, &g.Baseline}, sql: `
				INSERT INTO ledger.generation
				  (output, partition, state, pipeline, version, digest, config, owner_key, tenure, effect_key, control, baseline, fence,
				   application, backend_pid, backend_start, moment, scheme, lower, upper)
				VALUES
				  (@output, @partition, 'building', @pipeline, @version, @digest, @config, @owner_key, @tenure, @effect_key, @control,
				   (SELECT generation FROM ledger.live WHERE output = @output AND partition = @partition), @fence::text::uuid, @application,
				   @session, @session_start, @moment, @scheme::text::jsonb, @lower, @upper)
				RETURNING id, coalesce(baseline, 0)`,
			args: []any{pgx.NamedArgs{
				"output": g.Output, "partition": g.Partition, "pipeline": g.Pipeline, "version": g.Version, "digest": g.Digest,
				"config": g.Config, "owner_key": g.Owner, "tenure": g.Tenure,
				"effect_key": g.EffectKey, "control": g.Control, "fence": g.Fence, "application": g.Application, "scheme": string(scheme),
				"lower": g.Lower, "upper": g.Upper, "session": g.Session, "session_start": g.SessionStart, "moment": g.Moment,
			}},
		})
	}
	return l.together(ctx, q, statements...)
}

// SetChildren records the child tables of generations that one attempt is building, before they hold a row. They have the columns of
// the first.
func (l Ledger) SetChildren(ctx context.Context, q Querier, generations []*Generation) error {
	first := generations[0]
	columns, err := json.Marshal(first.Columns)
	if err != nil {
		return fmt.Errorf("encode the columns of generation %d: %w", first.ID, err)
	}
	ids, children := make([]int64, len(generations)), make([]uint32, len(generations))
	for i, g := range generations {
		ids[i], children[i] = g.ID, g.Child
	}
	tag, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.generation g
		SET child = c.child, columns = $4::text::jsonb, returned = $5
		FROM unnest($1::bigint[], $2::oid[]) AS c (id, child)
		WHERE g.id = c.id AND g.fence = $3::text::uuid AND g.state = 'building'`), ids, children, first.Fence, string(columns), first.Returned)
	if err != nil {
		return fmt.Errorf("record the child of generation %d: %w", first.ID, err)
	}
	return mine(tag.RowsAffected()-int64(len(generations))+1, first.ID)
}

// Finish moves generations from building to built, with what their audit found, in the build's last transaction.
func (l Ledger) Finish(ctx context.Context, q Querier, generations []*Generation) error {
	var id int64
	finished := map[int64]bool{}
	var statements []statement
	for _, g := range generations {
		statements = append(statements, statement{
			what: fmt.Sprintf("record generation %d as built", g.ID), into: []any{&id}, each: func() error {
				finished[id] = true
				return nil
			}, sql: `
				UPDATE ledger.generation
				SET state = 'built', owner = @owner, rows = @rows, loaded = @loaded, checksum = @checksum::text::numeric,
				    inputs = @inputs, audit = @audit, reason = @reason, seconds = @seconds, built_xid = @built_xid::text::xid8,
				    older = @older, listed_at = @listed_at, built_at = now(), at = now()
				WHERE id = @id AND fence = @fence::text::uuid AND state = 'building'
				RETURNING id`, args: []any{pgx.NamedArgs{
				"id": g.ID, "fence": g.Fence, "owner": g.ChildOwner, "rows": g.Rows, "loaded": g.Loaded, "checksum": g.Checksum,
				"inputs": g.Inputs, "audit": g.Audit, "reason": g.Reason, "seconds": g.Seconds,
				"built_xid": g.BuiltXID, "older": g.Older, "listed_at": g.ListedAt,
			}},
		})
	}
	if err := l.together(ctx, q, statements...); err != nil {
		return err
	}
	for _, g := range generations {
		if !finished[g.ID] {
			return mine(0, g.ID)
		}
	}
	return nil
}

// Reject moves a generation that never went live to rejected, with the reason. Of one in another state it does nothing.
func (l Ledger) Reject(ctx context.Context, q Querier, id int64, reason string) error {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.generation
		SET state = 'rejected', reason = $2, shadow = '', at = now()
		WHERE id = $1 AND state IN ('building', 'built', 'shadow')`), id, reason); err != nil {
		return fmt.Errorf("reject generation %d: %w", id, err)
	}
	return nil
}

// GiveUp is Reject for one that is still as it was read; it says whether it was, and sets its state and its moment.
func (l Ledger) GiveUp(ctx context.Context, q Querier, g *Generation, reason string) (bool, error) {
	err := q.QueryRow(ctx, l.sql(`
		UPDATE ledger.generation
		SET state = 'rejected', reason = $4, shadow = '', at = now()
		WHERE id = $1 AND state = $2 AND at = $3
		RETURNING state, at`), g.ID, g.State, g.At, reason).Scan(&g.State, &g.At)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("give up generation %d: %w", g.ID, err)
	}
	return true, nil
}

// GiveUpBuilt rejects what an owner has built, hangs in no shadow, and was never published. Twice is once.
func (l Ledger) GiveUpBuilt(ctx context.Context, q Querier, owner string) error {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.generation
		SET state = 'rejected', reason = 'its workflow has ended', at = clock_timestamp()
		WHERE owner_key = $1 AND state = 'built'`), owner); err != nil {
		return fmt.Errorf("give up what %s built: %w", owner, err)
	}
	return nil
}

// mine turns "no row was ours" into the conflict that a superseded attempt meets.
func mine(rows, id int64) error {
	if rows == 1 {
		return nil
	}
	return fault.Newf(fault.Conflict, "build generation", fmt.Sprint(id), "nothing to do: the later attempt goes on",
		"a later attempt of the same effect has taken over")
}

// Generation reads one generation; an unknown id is fault.Invalid.
func (l Ledger) Generation(ctx context.Context, q Querier, id int64) (Generation, error) {
	found, err := l.Generations(ctx, q, []int64{id})
	if err != nil {
		return Generation{}, err
	}
	return found[id], nil
}

// Generations reads generations by id; an unknown id is fault.Invalid.
func (l Ledger) Generations(ctx context.Context, q Querier, ids []int64) (map[int64]Generation, error) {
	list, err := l.collect(ctx, q, `SELECT`+generationColumns+` FROM ledger.generation g WHERE g.id = ANY($1)`, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[int64]Generation, len(list))
	for _, g := range list {
		found[g.ID] = g
	}
	for _, id := range ids {
		if _, ok := found[id]; !ok {
			return nil, fault.Newf(fault.Invalid, "read generation", fmt.Sprint(id), "list those of a partition: drawbridge history PIPELINE --env ENV --output TABLE --partition P",
				"the ledger does not know it")
		}
	}
	return found, nil
}

// Scheme is how an output is cut into partitions; none where nothing was ever built of it.
func (l Ledger) Scheme(ctx context.Context, q Querier, output string) (scheme partition.Scheme, err error) {
	err = q.QueryRow(ctx, l.sql(`
		SELECT scheme FROM ledger.generation WHERE output = $1 ORDER BY id DESC LIMIT 1`), output).Scan(&scheme)
	if errors.Is(err, pgx.ErrNoRows) {
		return scheme, nil
	}
	if err != nil {
		return scheme, fmt.Errorf("read the scheme of %s: %w", output, err)
	}
	return scheme, nil
}

// LockGenerations reads generations and locks their rows until the transaction ends, without waiting.
func (l Ledger) LockGenerations(ctx context.Context, q Querier, ids []int64) (map[int64]Generation, error) {
	list, err := l.collect(ctx, q, `SELECT`+generationColumns+`
		FROM ledger.generation g
		WHERE g.id = ANY($1)
		ORDER BY g.id
		FOR UPDATE NOWAIT`, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[int64]Generation, len(list))
	for _, g := range list {
		found[g.ID] = g
	}
	return found, nil
}

// FindBuilt finds the generation of output that effect key has built, in whatever state it is since; ok is false when
// no attempt got that far, or the result was rejected or dropped.
func (l Ledger) FindBuilt(ctx context.Context, q Querier, key, output string) (g Generation, ok bool, err error) {
	list, err := l.collect(ctx, q, `SELECT`+generationColumns+`
		FROM ledger.generation g
		WHERE g.effect_key = $1 AND g.output = $2 AND g.state IN ('built', 'shadow', 'live', 'retired')
		ORDER BY g.id DESC
		LIMIT 1`, key, output)
	if err != nil || len(list) == 0 {
		return Generation{}, false, err
	}
	return list[0], true, nil
}

// Newest finds the newest generation of an output that a release has built, in whatever state it is since; ok is false
// when there is none.
func (l Ledger) Newest(ctx context.Context, q Querier, output, digest string) (g Generation, ok bool, err error) {
	list, err := l.collect(ctx, q, `SELECT`+generationColumns+`
		FROM ledger.generation g
		WHERE g.output = $1 AND g.digest = $2 AND g.state IN ('built', 'shadow', 'live', 'retired')
		ORDER BY g.id DESC
		LIMIT 1`, output, digest)
	if err != nil || len(list) == 0 {
		return Generation{}, false, err
	}
	return list[0], true, nil
}

// Returned lists the columns that a release's SELECT returned when it was last published for an output; none when it never
// was.
func (l Ledger) Returned(ctx context.Context, q Querier, output, digest, config string) ([]string, error) {
	var columns []string
	if err := q.QueryRow(ctx, l.sql(`
		SELECT coalesce((
		  SELECT returned
		  FROM ledger.generation
		  WHERE output = $1 AND digest = $2 AND config = $3 AND replaced IS NOT NULL
		  ORDER BY id DESC
		  LIMIT 1), '{}')`), output, digest, config).Scan(&columns); err != nil {
		return nil, fmt.Errorf("read what %s returned before: %w", output, err)
	}
	return columns, nil
}

// Live lists the live generations of outputs, by output and partition key.
func (l Ledger) Live(ctx context.Context, q Querier, outputs []string) ([]Generation, error) {
	return l.collect(ctx, q, `SELECT`+generationColumns+`
		FROM ledger.generation g
		WHERE g.output = ANY($1) AND g.state = 'live'
		ORDER BY g.output, g.partition`, outputs)
}

// Of lists the generations of one partition of an output, newest first; all partitions when partition is empty.
func (l Ledger) Of(ctx context.Context, q Querier, output string, key partition.Key, limit int) ([]Generation, error) {
	return l.collect(ctx, q, `SELECT`+generationColumns+`
		FROM ledger.generation g
		WHERE g.output = $1 AND ($2 = '' OR g.partition = $2)
		ORDER BY g.id DESC
		LIMIT `+strconv.Itoa(limit), output, string(key))
}

// InShadow lists the generations that hang in the shadow parents of a deployment.
func (l Ledger) InShadow(ctx context.Context, q Querier, deployment string) ([]Generation, error) {
	return l.collect(ctx, q, `SELECT`+generationColumns+`
		FROM ledger.generation g
		WHERE g.shadow = $1 AND g.state = 'shadow'
		ORDER BY g.id`, deployment)
}

// Disposable lists the generations whose children may go: rejected ones, attempts whose session has ended, or of which
// nothing was heard for longer than abandoned, and retired ones older than keep. What was retired since a deployment of its
// pipeline that crosses or watches has begun is what that one could go back to, and an open turn-back could go back to
// anything: it stays, however old.
func (l Ledger) Disposable(ctx context.Context, q Querier, keep, abandoned time.Duration) ([]Generation, error) {
	return l.collect(ctx, q, `SELECT`+generationColumns+`
		FROM ledger.generation g
		WHERE g.state = 'rejected'
		   OR g.state IN ('building', 'built') AND g.at < now() - make_interval(secs => $2)
		   OR g.state = 'building' AND NOT EXISTS (
		        SELECT
		        FROM pg_stat_activity a
		        WHERE a.pid = g.backend_pid AND coalesce(a.backend_start, g.backend_start) = g.backend_start) -- hidden ones may live
		   OR g.state = 'retired' AND g.at < now() - make_interval(secs => $1)
		      AND NOT EXISTS (SELECT FROM ledger.turn_back b WHERE b.pipeline = g.pipeline AND b.state = 'open')
		      AND NOT EXISTS (
		        SELECT
		        FROM ledger.tenure t
		        LEFT JOIN ledger.crossing c ON c.tenure = t.number
		        WHERE t.pipeline = g.pipeline AND g.at >= t.reserved_at AND (c.tenure IS NOT NULL OR t.watched_until > now()))
		ORDER BY g.id`, keep.Seconds(), abandoned.Seconds())
}

// SetState moves a generation to a state. The caller holds the lock of its partition, or of its child.
func (l Ledger) SetState(ctx context.Context, q Querier, id int64, state generation.State, shadow string) error {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.generation
		SET state = $2, shadow = $3, at = clock_timestamp(), child = CASE WHEN $2 = 'dropped' THEN NULL ELSE child END
		WHERE id = $1`), id, string(state), shadow); err != nil {
		return fmt.Errorf("move generation %d to %s: %w", id, state, err)
	}
	return nil
}

// MarkNotReattachable says why a retired generation can never be live again.
func (l Ledger) MarkNotReattachable(ctx context.Context, q Querier, id int64, reason string) error {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.generation
		SET not_reattachable = $2
		WHERE id = $1`), id, reason); err != nil {
		return fmt.Errorf("mark generation %d as not re-attachable: %w", id, err)
	}
	return nil
}

// RowsPerSecond is the median build speed of the newest generations of outputs; 0 when none was built.
func (l Ledger) RowsPerSecond(ctx context.Context, q Querier, outputs []string) (float64, error) {
	var speed float64
	err := q.QueryRow(ctx, l.sql(`
		SELECT coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY rows / seconds), 0)
		FROM (
		  SELECT rows, seconds
		  FROM ledger.generation
		  WHERE output = ANY($1) AND seconds > 0 AND rows > 0
		  ORDER BY id DESC
		  LIMIT 20
		) AS last`), outputs).Scan(&speed)
	if err != nil {
		return 0, fmt.Errorf("read the speed of earlier builds: %w", err)
	}
	return speed, nil
}

// OpenRuns lists the effect keys of builds that are under way for outputs.
func (l Ledger) OpenRuns(ctx context.Context, q Querier, outputs []string) ([]string, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT DISTINCT effect_key
		FROM ledger.generation
		WHERE output = ANY($1) AND state = 'building'
		ORDER BY effect_key`), outputs)
	if err != nil {
		return nil, fmt.Errorf("list open runs: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list open runs: %w", err)
	}
	return keys, nil
}

func (l Ledger) collect(ctx context.Context, q Querier, text string, args ...any) ([]Generation, error) {
	rows, err := q.Query(ctx, l.sql(text), args...)
	if err != nil {
		return nil, fmt.Errorf("read generations: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Generation])
	if err != nil {
		return nil, fmt.Errorf("read generations: %w", err)
	}
	return list, nil
}
