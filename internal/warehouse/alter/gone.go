package alter

import (
	"context"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// undoWithout undoes a step of a table that somebody has dropped: what was on it has gone with it, and what stood beside it is taken away. Nothing
// is locked, for there is nobody to wait for. A table that was only renamed keeps what hangs on it, such as a trigger's function, which is the
// server's refusal.
func (s *step) undoWithout(ctx context.Context) (migrate.StepResult, error) {
	return postgres.Once(ctx, s.t.pool, s.t.ledger, s.effect(), func(tx pgx.Tx) (migrate.StepResult, error) {
		none := migrate.StepResult{}
		if err := s.stay(ctx, tx, true); err != nil {
			return none, err
		}
		for _, statement := range s.step.Undo {
			if s.step.Class == migrate.Concurrent {
				break // an index, which went with its table
			}
			err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
				_, err := tx.Conn().PgConn().Exec(ctx, statement).ReadAll()
				return err
			})
			if err != nil && !missing(err) {
				return none, err
			}
		}
		return migrate.StepResult{Done: true}, s.note(ctx, tx)
	})
}

// missing says that a statement was about what is not there any more.
func missing(err error) bool {
	switch postgres.SQLState(err) {
	case pgerrcode.UndefinedTable, pgerrcode.UndefinedObject, pgerrcode.UndefinedFunction:
		return true
	}
	return false
}
