package activities

import (
	"context"
	"fmt"

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
			for _, column := range o.plan.Old {
				if names[table] && names[column] {
					readers = append(readers, migrate.Reader{Column: column, Kind: "output " + out.Table + " of the active release", Name: t.Release.String(), Owner: p.Owner})
				}
			}
		}
	}
	return readers, nil
}
