package warehouse

import (
	"context"

	"drawbridge/internal/migrate"
)

// ReadersOfColumns are what the catalog knows to read columns of a table.
func (w *Warehouse) ReadersOfColumns(ctx context.Context, table string, columns []string) ([]migrate.Reader, error) {
	return w.Tables.ReadersOf(ctx, table, columns)
}
