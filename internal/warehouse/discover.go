package warehouse

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

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
			keys, err := w.discover(ctx, author.Conn, o)
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

// discover lists the partitions of the rows that an output's SELECT returns without bounds.
func (w *Warehouse) discover(ctx context.Context, conn *pgx.Conn, o pipeline.Output) ([]partition.Key, error) {
	columns, err := w.describeOutput(ctx, conn, o)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(columns, func(c generation.Column) bool { return c.Name == o.Partition.Column })
	if at < 0 {
		return nil, fault.Newf(fault.Invalid, "find partitions of", o.Table, "select it in "+o.SQLFile, "the SELECT does not return the partition column "+o.Partition.Column)
	}
	text, params := pipeline.Bind(o.SQL)
	sql := fmt.Sprintf("SELECT DISTINCT %s FROM (\n%s\n) AS output WHERE %s IS NOT NULL", keyOf(o.Partition, columns[at].Type), text, postgres.Ident(o.Partition.Column))
	prepared, err := conn.PgConn().Prepare(ctx, "", sql, nil)
	if err != nil {
		return nil, postgres.Classify("prepare", o.SQLFile, err)
	}
	args := make([][]byte, len(params))
	for i, name := range params {
		args[i] = unbounded(name, prepared.ParamOIDs[i])
	}
	result := conn.PgConn().ExecParams(ctx, sql, args, prepared.ParamOIDs, nil, nil).Read()
	if result.Err != nil {
		return nil, postgres.ClassifyRun("run", o.SQLFile, result.Err)
	}
	var keys []partition.Key
	for _, row := range result.Rows {
		key, err := o.Partition.Parse(string(row[0]))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// keyOf renders the canonical key of a row's partition: dates and timestamps are wall clock already, a timestamptz is
// read in the pipeline's zone.
func keyOf(s partition.Scheme, columnType string) string {
	column := postgres.Ident(s.Column)
	if s.By == partition.Range {
		size := strconv.FormatInt(s.Size, 10)
		// div is exact, and cuts towards 0; a division would round numbers of more than 16 digits into another partition.
		return fmt.Sprintf("((div(floor(%[1]s::numeric), %[2]s) - (mod(floor(%[1]s::numeric), %[2]s) < 0)::int) * %[2]s)::text", column, size)
	}
	wall := column + "::timestamp"
	if strings.HasPrefix(columnType, "timestamp") && strings.HasSuffix(columnType, "with time zone") {
		zone := s.Timezone
		if zone == "" {
			zone = "UTC"
		}
		wall = column + " AT TIME ZONE " + postgres.Literal(zone)
	}
	format := map[partition.By]string{
		partition.Hour: `YYYY-MM-DD"T"HH24`, partition.Day: "YYYY-MM-DD", partition.Week: `IYYY-"W"IW`, partition.Month: "YYYY-MM",
	}[s.By]
	// What lies before our era is no key, and must not become that of a day in it.
	return fmt.Sprintf("to_char(%[1]s, %[2]s) || CASE WHEN %[1]s < '0001-01-01' THEN ' BC' ELSE '' END", wall, postgres.Literal(format))
}

// unbounded is a bound that leaves nothing out, for the type that the server found for a parameter.
func unbounded(param string, oid uint32) []byte {
	least, greatest := "-infinity", "infinity"
	switch oid {
	case pgtype.Int2OID:
		least, greatest = strconv.Itoa(math.MinInt16), strconv.Itoa(math.MaxInt16)
	case pgtype.Int4OID:
		least, greatest = strconv.Itoa(math.MinInt32), strconv.Itoa(math.MaxInt32)
	case pgtype.Int8OID:
		least, greatest = strconv.Itoa(math.MinInt64), strconv.Itoa(math.MaxInt64)
	}
	switch param {
	case pipeline.PartitionStartParam:
		return []byte(least)
	case pipeline.PartitionEndParam:
		return []byte(greatest)
	}
	return []byte(partition.AllKey)
}
