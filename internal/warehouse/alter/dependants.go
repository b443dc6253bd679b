package alter

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// namedAtMost bounds how many readers a refusal names.
const namedAtMost = 5

// mayTurn refuses to undo anything while somebody reads a column that would go: both shapes are written on until that is mended.
func (s *step) mayTurn(ctx context.Context, tx pgx.Tx) error {
	made, err := s.made(ctx, tx)
	if err != nil || len(made) == 0 {
		return err
	}
	who, err := s.dependants(ctx, tx, made)
	if err != nil || who == "" {
		return err
	}
	return s.dependedOn(who + "; both shapes are written on")
}

// named says who depends on what a step was to take away, where that is what the server has refused; nil: err is about something else.
func (s *step) named(ctx context.Context, err error) error {
	if postgres.SQLState(err) != pgerrcode.DependentObjectsStillExist {
		return nil
	}
	var who string
	looked := s.t.readOnly(ctx, func(tx pgx.Tx) (err error) {
		columns := s.spec.Plan.Old
		if s.spec.Undo {
			if columns, err = s.made(ctx, tx); err != nil {
				return err
			}
		}
		who, err = s.dependants(ctx, tx, columns)
		return err
	})
	if looked == nil && who != "" {
		return s.dependedOn(who)
	}
	return nil
}

func (s *step) dependedOn(reason string) error {
	way := "drop it, or create it anew over the new shape: then it goes on"
	if s.spec.Undo {
		way = "drop it, or create it anew over the old shape, and then: drawbridge migrate rollback " + s.spec.Owner.Workflow() + " --reason TEXT"
	}
	return fault.Newf(fault.Conflict, s.verb(), s.step.ID, way, reason)
}

// made are the columns that the migration has made, as they are called now. Of a table that was dropped there are none.
func (s *step) made(ctx context.Context, tx pgx.Tx) ([]string, error) {
	table, err := s.t.tableOf(ctx, tx, s.spec.Plan)
	if fault.ClassOf(err) == fault.Conflict {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var made []string
	for _, c := range s.spec.Plan.New {
		var before bool
		if err := tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = $1 AND attname = $2 AND attnum > 0 AND NOT attisdropped)`,
			table.OID, c.Made).Scan(&before); err != nil {
			return nil, fmt.Errorf("look for column %s: %w", c.Made, err)
		}
		name := c.Named
		if before {
			name = c.Made
		}
		made = append(made, name)
	}
	return made, nil
}

// dependants says who is known to read some columns of the table; empty: nobody.
func (s *step) dependants(ctx context.Context, tx pgx.Tx, columns []string) (string, error) {
	p := s.spec.Plan
	table, err := s.t.tableOf(ctx, tx, p)
	if err == nil && p.Renamed != "" && !p.Drops { // what goes is the view of the old name
		table, err = s.t.named(ctx, tx, p.Migration.Table)
	}
	if err != nil {
		return "", err
	}
	var readers []migrate.Reader
	if p.Renamed != "" {
		readers, err = s.t.wholeReaders(ctx, tx, table)
	} else {
		readers, err = s.t.readers(ctx, tx, table.OID, columns)
	}
	if err != nil {
		return "", err
	}
	var named []string
	for _, r := range readers {
		if text := fmt.Sprintf("the %s %s reads %s", r.Kind, r.Name, r.Column); !r.Guessed && !slices.Contains(named, text) {
			named = append(named, text)
		}
	}
	if more := len(named) - namedAtMost; more > 0 {
		named = append(named[:namedAtMost], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(named, "; "), nil
}
