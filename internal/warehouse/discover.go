package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// Discover finds the partitions for which there is data, in order, where the names of files do not tell: it loads the
// files and asks the outputs' SELECTs, with bounds that leave nothing out. It writes nothing but temporary tables.
func (w *Warehouse) Discover(ctx context.Context, p *pipeline.Pipeline, open Opener) ([]partition.Key, error) {
	found := map[partition.Key]bool{}
	err := w.pool.Apart(ctx, w.pool.Application(), func(author *postgres.Session) error {
		if err := author.Aside(ctx); err != nil {
			return err
		}
		b := &build{w: w, author: author, spec: BuildSpec{Pipeline: p, Open: open}, staged: map[string]staged{}}
		for _, load := range b.loads(p.Outputs) {
			if _, err := b.stage(ctx, load, partition.AllKey); err != nil {
				return err
			}
		}
		for _, o := range p.Outputs {
			if o.Partition.By == partition.All {
				continue
			}
			keys, err := w.discover(ctx, author.Conn, p, o)
			if err != nil {
				return postgres.Classify("find partitions of", o.Table, err)
			}
			for _, key := range keys {
				found[key] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, postgres.Classify("find partitions of", p.Name, err)
	}
	keys := make([]partition.Key, 0, len(found))
	for key := range found {
		keys = append(keys, key)
	}
	p.Partition.Sort(keys)
	return keys, nil
}

// discover lists the partitions of the rows that an output's SELECT returns without bounds. Rows that are in none of them would
// be published nowhere, and nobody would know: they are refused.
func (w *Warehouse) discover(ctx context.Context, conn *pgx.Conn, p *pipeline.Pipeline, o pipeline.Output) ([]partition.Key, error) {
	columns, err := w.describeOutput(ctx, conn, p.Loads, o)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(columns, func(c generation.Column) bool { return c.Name == o.Partition.Column })
	if at < 0 {
		return nil, fault.Newf(fault.Invalid, "find partitions of", o.Table, "select it in "+o.SQLFile, "the SELECT does not return the partition column "+o.Partition.Column)
	}
	sql, loose := o.SQL, pipeline.Unbounded(o.SQL)
	if o.Partition.By == partition.List { // no value leaves nothing out
		if sql = loose; !pipeline.Unbound(o.SQL) {
			return nil, fault.Newf(fault.Invalid, "find partitions of", o.Table+" in "+o.SQLFile,
				fmt.Sprintf("write %s = @%[2]s, or %[1]s IS NOT DISTINCT FROM @%[2]s where the list has null", o.Partition.Column, pipeline.PartitionValueParam),
				"a placeholder is compared with nothing by itself, so that what there is data for cannot be asked")
		}
	}
	text, params := pipeline.Bind(sql)
	grouped := fmt.Sprintf("SELECT %s, count(*) FROM (\n%s\n) AS output GROUP BY 1", keyOf(o.Partition, columns[at].Type), text)
	types, err := prepare(ctx, conn, o, grouped)
	if err != nil {
		return nil, err
	}
	rows, err := query(ctx, conn, o, grouped, types, params)
	if err != nil {
		return nil, err
	}
	var keys []partition.Key
	var all, placed int64
	for _, row := range rows {
		n, err := strconv.ParseInt(string(row[1]), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("count rows of %s: %w", o.SQLFile, err)
		}
		all += n
		if key, err := o.Partition.Parse(string(row[0])); err == nil {
			keys, placed = append(keys, key), placed+n
		}
	}
	if loose != sql {
		n, err := countRows(ctx, conn, o, loose)
		if err != nil {
			return nil, err
		}
		all = max(all, n)
	}
	if all > placed {
		return nil, unplaced(o, all-placed, all)
	}
	return keys, nil
}

// unplaced refuses rows that are in no partition. What they hold is nobody's business.
func unplaced(o pipeline.Output, rows, all int64) error {
	hint := fmt.Sprintf("correct the source, or leave such rows out by a condition of its own, such as %s IS NOT NULL", o.Partition.Column)
	if rows == all {
		hint = "take it from the data: where no file is named by partition, the placeholders say nothing until the partitions are known"
	}
	why := "NULL, infinite, or beyond what a partition can be called"
	if o.Partition.By == partition.List {
		why = "none of the values of the list"
		hint = "declare the values under partition in pipeline.yaml, or correct the source, or leave such rows out by a condition of its own"
	}
	return fault.Newf(fault.Invalid, "find partitions of", o.Table+" in "+o.SQLFile, hint,
		fmt.Sprintf("%d of %d rows are in no partition: column %s is %s", rows, all, o.Partition.Column, why))
}

// countRows counts the rows of an output's SQL; 0 where the server finds something wrong with it.
func countRows(ctx context.Context, conn *pgx.Conn, o pipeline.Output, sql string) (int64, error) {
	text, params := pipeline.Bind(sql)
	counting := "SELECT count(*) FROM (\n" + text + "\n) AS output"
	types, err := prepare(ctx, conn, o, counting)
	if fault.ClassOf(err) == fault.Invalid {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	rows, err := query(ctx, conn, o, counting, types, params)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(rows[0][0]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("count rows of %s: %w", o.SQLFile, err)
	}
	return n, nil
}

// prepare finds the types of the parameters of an author's SQL.
func prepare(ctx context.Context, conn *pgx.Conn, o pipeline.Output, sql string) ([]uint32, error) {
	prepared, err := conn.PgConn().Prepare(ctx, "", sql, nil)
	if err != nil {
		return nil, postgres.Classify("prepare", o.SQLFile, err)
	}
	return prepared.ParamOIDs, nil
}

// query runs SQL of an author with bounds that leave nothing out.
func query(ctx context.Context, conn *pgx.Conn, o pipeline.Output, sql string, types []uint32, params []string) ([][][]byte, error) {
	args, given := make([][]byte, len(params)), make([]uint32, len(params))
	for i, name := range params {
		args[i], given[i] = unbounded(name, types[i])
	}
	result := conn.PgConn().ExecParams(ctx, sql, args, given, nil, nil).Read()
	if result.Err != nil {
		return nil, postgres.ClassifyRun("run", o.SQLFile, result.Err)
	}
	return result.Rows, nil
}
