package alter

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// modes are the locks on a table from the weakest, as pg_locks calls them.
func modes() []string {
	return []string{
		"AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
	}
}

// modeOf is a lock of a step as pg_locks calls it.
func modeOf(l migrate.Lock) string {
	switch l {
	case migrate.RowExclusive:
		return "RowExclusiveLock"
	case migrate.ShareUpdateExclusive:
		return "ShareUpdateExclusiveLock"
	case migrate.ShareRowExclusive:
		return "ShareRowExclusiveLock"
	case migrate.AccessExclusive:
		return "AccessExclusiveLock"
	case migrate.NoLock, migrate.AccessShare:
	}
	return "AccessShareLock"
}

// measured refuses what an author's statements have locked beyond what they may, so that the transaction takes them back: a stronger lock on the
// table, or on an index of it, than the plan says, or anything but these and the catalog.
func (s *step) measured(ctx context.Context, tx pgx.Tx) error {
	table, err := s.t.tableOf(ctx, tx, s.spec.Plan)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `
		SELECT DISTINCT c.oid = $1 OR x.indexrelid IS NOT NULL, CASE WHEN c.oid = $1 THEN 'the table' ELSE c.oid::regclass::text END, l.mode
		FROM pg_locks l
		JOIN pg_class c ON c.oid = l.relation
		JOIN pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN pg_index x ON x.indrelid = $1 AND x.indexrelid = c.oid
		WHERE l.pid = pg_backend_pid() AND l.granted AND l.locktype = 'relation' AND l.mode <> 'AccessShareLock'
		  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', $2)
		ORDER BY 2, 3`, table.OID, s.t.ledger.Schema())
	if err != nil {
		return fmt.Errorf("look what is locked: %w", err)
	}
	allowed := slices.Index(modes(), modeOf(s.step.Lock))
	if s.spec.Undo { // that has the strongest already
		allowed = len(modes())
	}
	var own bool
	var name, mode string
	var reason string
	if _, err := pgx.ForEachRow(rows, []any{&own, &name, &mode}, func() error {
		switch {
		case !own:
			reason = fmt.Sprintf("its statements lock %s (%s), and a migration is about its own table", name, mode)
		case slices.Index(modes(), mode) > allowed && reason == "":
			reason = fmt.Sprintf("its statements take a stronger lock on %s (%s) than it says (%s)", name, mode, s.step.Lock)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("look what is locked: %w", err)
	}
	if reason == "" {
		return nil
	}
	return fault.Newf(fault.Refused, s.verb(), s.step.ID, "write what they lock into locks, or write other statements, and plan it again", reason+"; they were taken back")
}
