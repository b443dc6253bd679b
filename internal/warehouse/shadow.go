package warehouse

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/postgres"
)

// shadowTag keeps a shadow's name short and its deployments apart; the parent's comment holds the whole id.
func shadowTag(deployment string) string {
	sum := sha256.Sum256([]byte(deployment))
	return hex.EncodeToString(sum[:4])
}

// AttachShadow attaches built generations to the shadow parents of a deployment, where people and comparisons can read
// them before anyone else does. A generation that hangs there already is left; one that is in another state than built
// is fault.Conflict.
func (w *Warehouse) AttachShadow(ctx context.Context, deployment string, ids []int64) error {
	return postgres.Classify("attach shadow of", deployment, pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if err := postgres.Bound(ctx, tx, postgres.TopRung); err != nil {
			return err
		}
		generations, err := w.ledger.LockGenerations(ctx, tx, ids)
		if err != nil {
			return err
		}
		found, err := w.children(ctx, tx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			g, ok := generations[id]
			switch {
			case ok && g.State == generation.Shadow && g.Shadow == deployment:
				continue
			case !ok || g.State != generation.Built:
				return fault.Newf(fault.Conflict, "attach shadow of", deployment, "build the canary again",
					fmt.Sprintf("generation %d is %s", id, g.State))
			}
			if err := found[id].trusted(g, 0); err != nil {
				return err
			}
			if found[id].Aside {
				if _, err := tx.Exec(ctx, "ALTER TABLE "+found[id].Hangs+" DETACH PARTITION "+w.names.child(id)); err != nil {
					return err
				}
			}
			if err := w.attachShadow(ctx, tx, g, deployment); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (w *Warehouse) attachShadow(ctx context.Context, tx pgx.Tx, g catalog.Generation, deployment string) error {
	parent, child := w.names.shadowParent(g.Output, deployment), w.names.child(g.ID)
	shape := "LIKE " + child
	if g.Scheme.By == partition.List {
		shape = columnList(g.Columns) // of which none is NOT NULL: another partition may be that of NULL
	}
	statements := []string{
		fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s) %s", parent, shape, partitionBy(g.Scheme, g.Columns[0].Name)),
		fmt.Sprintf("COMMENT ON TABLE %s IS %s", parent, postgres.Literal(shadowComment(deployment))),
		fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s %s", parent, child, forValues(g)),
	}
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return w.ledger.SetState(ctx, tx, g.ID, generation.Shadow, deployment)
}

// shadowMark begins the comment of every shadow parent.
const shadowMark = "drawbridge shadow of "

// shadowComment marks a shadow parent as one of a deployment.
func shadowComment(deployment string) string { return shadowMark + deployment }

// DropStoppedShadows takes the shadows of all deployments apart that were stopped and can do so themselves no more. One that
// is in the way stops no other, and goes the next time.
func (w *Warehouse) DropStoppedShadows(ctx context.Context) error {
	stopped, err := w.ledger.FencedShadows(ctx, w.pool, w.names.shadow(), shadowMark)
	if err != nil {
		return postgres.Classify("drop shadows of", w.names.schema, err)
	}
	var failed error
	for _, owner := range stopped {
		failed = cmp.Or(failed, w.DropShadow(ctx, owner))
	}
	return failed
}

// DropShadow takes a deployment's shadow apart: what was promoted is gone from it already, the rest is rejected, and
// housekeeping drops its children. Without a shadow it does nothing.
func (w *Warehouse) DropShadow(ctx context.Context, deployment string) error {
	return postgres.Classify("drop shadow of", deployment, pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if err := postgres.Bound(ctx, tx, postgres.TopRung); err != nil {
			return err
		}
		parents, err := w.shadowParents(ctx, tx, deployment)
		if err != nil {
			return err
		}
		rest, err := w.ledger.InShadow(ctx, tx, deployment)
		if err != nil {
			return err
		}
		for _, g := range rest {
			// Dropping a partitioned table takes what is attached along: detach first, always.
			if _, err := tx.Exec(ctx, fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s", w.names.shadowParent(g.Output, deployment), w.names.child(g.ID))); err != nil {
				return err
			}
			if err := w.ledger.Reject(ctx, tx, g.ID, "the shadow of "+deployment+" was dropped"); err != nil {
				return err
			}
		}
		for _, name := range parents {
			if err := w.dropEmptyParent(ctx, tx, name); err != nil {
				return err
			}
		}
		return nil
	}))
}

// shadowParents lists the shadow parents of a deployment, quoted.
func (w *Warehouse) shadowParents(ctx context.Context, q catalog.Querier, deployment string) ([]string, error) {
	rows, err := q.Query(ctx, `
		SELECT c.relname
		FROM pg_class c
		WHERE c.relnamespace = to_regnamespace($1) AND c.relkind = 'p' AND obj_description(c.oid, 'pg_class') = $2
		ORDER BY c.relname`, postgres.Ident(w.names.shadow()), shadowComment(deployment))
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for i, name := range names {
		names[i] = pgx.Identifier{w.names.shadow(), name}.Sanitize()
	}
	return slices.Clip(names), err
}

// dropEmptyParent drops a shadow parent that holds nothing; whatever still hangs in it would go with it.
func (w *Warehouse) dropEmptyParent(ctx context.Context, tx pgx.Tx, name string) error {
	var children int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM pg_inherits WHERE inhparent = $1::text::regclass`, name).Scan(&children); err != nil {
		return err
	}
	if children > 0 {
		return fault.Newf(fault.Conflict, "drop shadow", name, "look at what is attached to it, and detach it",
			fmt.Sprintf("%d tables are attached that the ledger does not know of", children))
	}
	_, err := tx.Exec(ctx, "DROP TABLE "+name+" RESTRICT")
	return err
}
