package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Landing is a file that is not cut by partition, in a table of its own: every build of its owner's round reads that, so that
// a file which changes meanwhile changes nothing, and thousands of partitions cost one load.
type Landing struct {
	ID    int64
	Owner string // the workflow
	Round int
	Name  string // of the load
	File  string
	Shape string // digest of how the file is read
	// Loaded says that the file was read to its end. Before that Digest and Rows are empty.
	Loaded bool
	Digest string
	Rows   int64
	// Rejected is how many rows of the file were left out.
	Rejected int64
	// Session and SessionStart name the session that loads it.
	Session      int32
	SessionStart time.Time
}

// lease is how long a loader may be silent: one whose worker was stopped in the middle of a load keeps its session, and would
// be waited for by builds that take the slots in which its own retry would run.
const lease = 30 * time.Second

// Land finds the landing that want describes and sets what the ledger knows of it, or enters it for the caller to load, which
// the answer says. One whose loader is gone or silent is given up for a new one, and its session is ended. It never waits for
// another's load.
func (l Ledger) Land(ctx context.Context, tx pgx.Tx, want *Landing) (entered bool, err error) {
	named := pgx.NamedArgs{
		"owner": want.Owner, "round": want.Round, "name": want.Name, "file": want.File, "shape": want.Shape,
		"session": want.Session, "session_start": want.SessionStart, "lease": lease.Seconds(),
	}
	if _, err := tx.Exec(ctx, l.sql(`
		WITH given_up AS (
		  UPDATE ledger.landing
		  SET state = 'over', reason = 'its loader has gone', at = clock_timestamp()
		  WHERE owner = @owner AND round = @round AND name = @name AND shape = @shape AND state = 'loading' AND `+loaderGone+`
		  RETURNING backend_pid, backend_start)
		SELECT pg_terminate_backend(a.pid)
		FROM given_up g
		JOIN pg_stat_activity a ON a.pid = g.backend_pid AND a.backend_start = g.backend_start`), named); err != nil {
		return false, fmt.Errorf("give up the landing of %s: %w", want.Name, err)
	}
	err = tx.QueryRow(ctx, l.sql(`
		SELECT id, state = 'loaded', digest, rows, rejected
		FROM ledger.landing
		WHERE owner = @owner AND round = @round AND name = @name AND shape = @shape AND state IN ('loading', 'loaded')`), named).
		Scan(&want.ID, &want.Loaded, &want.Digest, &want.Rows, &want.Rejected)
	if err == nil {
		return false, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return false, fmt.Errorf("find the landing of %s: %w", want.Name, err)
	}
	want.Loaded, want.Digest, want.Rows, want.Rejected = false, "", 0, 0
	err = tx.QueryRow(ctx, l.sql(`
		INSERT INTO ledger.landing (owner, round, name, file, shape, state, backend_pid, backend_start)
		VALUES (@owner, @round, @name, @file, @shape, 'loading', @session, @session_start)
		ON CONFLICT (owner, round, name, shape) WHERE state IN ('loading', 'loaded') DO NOTHING
		RETURNING id`), named).Scan(&want.ID)
	if errors.Is(err, pgx.ErrNoRows) { // another was faster
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("enter the landing of %s: %w", want.Name, err)
	}
	return true, nil
}

// loaderGone holds for a landing that is loading and whose session has ended, or was silent for longer than @lease seconds. A
// session that may not be looked into may live.
const loaderGone = `(
		        at < clock_timestamp() - make_interval(secs => @lease)
		        OR NOT EXISTS (
		          SELECT
		          FROM pg_stat_activity a
		          WHERE a.pid = backend_pid AND coalesce(a.backend_start, landing.backend_start) = landing.backend_start))`

// KeepLanding says that a landing is being loaded still.
func (l Ledger) KeepLanding(ctx context.Context, q Querier, id int64) error {
	if _, err := q.Exec(ctx, l.sql(`UPDATE ledger.landing SET at = clock_timestamp() WHERE id = $1 AND state = 'loading'`), id); err != nil {
		return fmt.Errorf("keep landing %d: %w", id, err)
	}
	return nil
}

// FinishLanding says that a landing is loaded. It returns the digest that the same file had when the owner loaded it in the
// same round before, if it had another: then the landing stays as it is.
func (l Ledger) FinishLanding(ctx context.Context, q Querier, landing Landing) (before string, err error) {
	err = q.QueryRow(ctx, l.sql(`
		SELECT coalesce(max(digest), '')
		FROM ledger.landing
		WHERE owner = $1 AND round = $2 AND file = $3 AND digest NOT IN ('', $4)`),
		landing.Owner, landing.Round, landing.File, landing.Digest).Scan(&before)
	if err != nil || before != "" {
		return before, err
	}
	tag, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.landing
		SET state = 'loaded', digest = $2, rows = $3, rejected = $4, at = clock_timestamp()
		WHERE id = $1 AND state = 'loading'`), landing.ID, landing.Digest, landing.Rows, landing.Rejected)
	if err != nil {
		return "", fmt.Errorf("finish the landing of %s: %w", landing.Name, err)
	}
	if tag.RowsAffected() == 0 {
		return "", fmt.Errorf("the landing of %s was given up meanwhile", landing.Name)
	}
	return "", nil
}

// UseLanding says whether a landing is still loaded. From then on only the end of its workflow, or a fence, takes it away: its
// age begins anew.
func (l Ledger) UseLanding(ctx context.Context, q Querier, id int64) (bool, error) {
	tag, err := q.Exec(ctx, l.sql(`UPDATE ledger.landing SET at = clock_timestamp() WHERE id = $1 AND state = 'loaded'`), id)
	if err != nil {
		return false, fmt.Errorf("use landing %d: %w", id, err)
	}
	return tag.RowsAffected() > 0, nil
}

// EndLanding says why nobody may use a landing any more. Twice is once.
func (l Ledger) EndLanding(ctx context.Context, q Querier, id int64, reason string) error {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.landing
		SET state = 'over', reason = $2, at = clock_timestamp()
		WHERE id = $1 AND state IN ('loading', 'loaded')`), id, reason); err != nil {
		return fmt.Errorf("end landing %d: %w", id, err)
	}
	return nil
}

// EndLandings ends all landings of a workflow that has ended.
func (l Ledger) EndLandings(ctx context.Context, q Querier, owner string) error {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.landing
		SET state = 'over', reason = 'its workflow has ended', at = clock_timestamp()
		WHERE owner = $1 AND state IN ('loading', 'loaded')`), owner); err != nil {
		return fmt.Errorf("end the landings of %s: %w", owner, err)
	}
	return nil
}

// DisposableLandings ends the landings whose workflow was stopped, whose loader is gone, or that nobody has used for longer
// than abandoned, and lists all that are over and still there.
func (l Ledger) DisposableLandings(ctx context.Context, q Querier, abandoned time.Duration) ([]int64, error) {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.landing
		SET state = 'over', reason = 'nobody needs it', at = clock_timestamp()
		WHERE state IN ('loading', 'loaded')
		  AND (EXISTS (SELECT FROM ledger.fence f WHERE f.owner = landing.owner) OR at < now() - make_interval(secs => $1))`), abandoned.Seconds()); err != nil {
		return nil, fmt.Errorf("end landings that nobody needs: %w", err)
	}
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.landing
		SET state = 'over', reason = 'its loader has gone', at = clock_timestamp()
		WHERE state = 'loading' AND `+loaderGone), pgx.NamedArgs{"lease": lease.Seconds()}); err != nil {
		return nil, fmt.Errorf("end landings that nobody loads: %w", err)
	}
	rows, err := q.Query(ctx, l.sql(`SELECT id FROM ledger.landing WHERE state = 'over' ORDER BY id`))
	if err != nil {
		return nil, fmt.Errorf("list landings: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("list landings: %w", err)
	}
	return ids, nil
}

// DroppedLanding says that a landing's table is gone.
func (l Ledger) DroppedLanding(ctx context.Context, q Querier, id int64) error {
	if _, err := q.Exec(ctx, l.sql(`UPDATE ledger.landing SET state = 'dropped', at = clock_timestamp() WHERE id = $1 AND state = 'over'`), id); err != nil {
		return fmt.Errorf("note that landing %d is dropped: %w", id, err)
	}
	return nil
}
