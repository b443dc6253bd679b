package activities

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/activity"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/sqltext"
)

// releases are the active releases of this ledger that read the migration's table when they were built, and whose SQL has the name of a
// column that is taken away: their next build would fail.
func (o opened) releases(ctx context.Context) ([]migrate.Reader, error) {
	table := o.plan.Migration.Table
	_, active, err := o.w.ReadersOf(ctx, "", []string{table})
	if err != nil {
		return nil, err
	}
	var readers []migrate.Reader
	for _, t := range active {
		p, err := o.Site.read(ctx, t.Release, t.Config)
		if err != nil {
			return nil, fmt.Errorf("look what %s reads: %w", t.Release, err)
		}
		for _, out := range p.Outputs {
			names := sqltext.Identifiers(out.SQL)
			if o.plan.Renamed != "" && names[table] {
				readers = append(readers, migrate.Reader{Column: table, Kind: "output " + out.Table + " of the active release", Name: t.Release.String(), Owner: p.Owner})
			}
			for _, column := range o.plan.Old {
				if names[table] && names[column] {
					readers = append(readers, migrate.Reader{Column: column, Kind: "output " + out.Table + " of the active release", Name: t.Release.String(), Owner: p.Owner})
				}
			}
		}
	}
	return readers, nil
}

// known are what the server's catalog knows to read what is taken away: columns, the view of an old name, or anything of the table, which may have
// its other name by now.
func (o opened) known(ctx context.Context) ([]migrate.Reader, error) {
	p := o.plan
	if p.Renamed == "" {
		return o.w.ReadersOfColumns(ctx, p.Migration.Table, p.Old)
	}
	names := []string{p.Migration.Table}
	if p.Drops {
		names = []string{p.Renamed, p.Migration.Table}
	}
	if o.standing.Phase == migrate.Contract { // by now it has that name, or has gone
		names = names[:1]
	}
	for _, name := range names {
		readers, err := o.w.ReadersOfColumns(ctx, name, nil)
		if fault.ClassOf(err) != fault.Conflict {
			return readers, err
		}
	}
	return nil, nil
}

// countCalls looks who calls statements that name what open migrations take away: a deprecation window may be weeks long, and its
// workflow looks at its ends. Whatever is wrong with one keeps nobody's house from being kept.
func (a *Keeping) countCalls(ctx context.Context, w Warehouse) error {
	open, err := w.Deprecated(ctx)
	if err != nil {
		return err
	}
	for _, at := range open {
		p, err := (&Migrating{Site: a.Site}).read(ctx, at.Plan)
		if err == nil {
			err = w.EnsureLedger(ctx)
		}
		if err == nil && len(p.Old) > 0 {
			_, err = w.CallsOf(ctx, at.Owner, p)
		}
		if err != nil && activity.IsActivity(ctx) {
			activity.GetLogger(ctx).Warn("calls of statements were not counted", "migration", at.Owner.Workflow(), "error", err)
		}
	}
	return ctx.Err()
}
