package warehouse

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"drawbridge/internal/catalog"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// cuttable refuses an output whose partition column has a type that it cannot be cut by, and a list of values that are none of its type.
func (w *Warehouse) cuttable(ctx context.Context, o pipeline.Output, columns []generation.Column) error {
	at := slices.IndexFunc(columns, func(c generation.Column) bool { return c.Name == o.Partition.Column })
	if at < 0 {
		return nil // one partition, or newColumns says it
	}
	if why, cast := o.Partition.Unfit(columns[at].Type); why != "" {
		return fault.Newf(fault.Invalid, "describe", o.Table, fmt.Sprintf("cast it in %s: %s AS %s", o.SQLFile, cast, o.Partition.Column), why)
	}
	if o.Partition.By != partition.List {
		return nil
	}
	values := slices.DeleteFunc(o.Partition.Values.All(), func(v partition.Value) bool { return v.Null })
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = v.Text
	}
	// What the type reads in one way and writes in another could be in the list twice, or be cut to what fits.
	var alike bool
	err := w.pool.QueryRow(ctx, fmt.Sprintf("SELECT coalesce(bool_and((v::%s)::text = v), true) FROM unnest($1::text[]) AS v", columns[at].Type), texts).Scan(&alike)
	if err == nil && alike {
		return nil
	}
	if state := postgres.SQLState(err); err != nil && !pgerrcode.IsDataException(state) {
		return err
	}
	for _, v := range values { // which one it is
		var read string
		err := w.pool.QueryRow(ctx, fmt.Sprintf("SELECT (%s::%s)::text", postgres.Literal(v.Text), columns[at].Type)).Scan(&read)
		if state := postgres.SQLState(err); pgerrcode.IsDataException(state) {
			return fault.Newf(fault.Invalid, "describe", o.Table, "correct it under partition in pipeline.yaml, or cast the column in "+o.SQLFile,
				fmt.Sprintf("the value of %s in the list is no %s", v.Key, columns[at].Type))
		}
		if err != nil {
			return err
		}
		if read != v.Text {
			return fault.Newf(fault.Invalid, "describe", o.Table, fmt.Sprintf("write it as %q under partition in pipeline.yaml", read),
				fmt.Sprintf("the value of %s in the list is not written as %s writes it", v.Key, columns[at].Type))
		}
	}
	return nil
}

// ofNull says that a partition is that of a list which holds the rows without a value.
func ofNull(s partition.Scheme, key partition.Key) bool {
	if s.By != partition.List {
		return false
	}
	v, err := s.Value(key)
	return err == nil && v.Null
}

// partitionBy renders how a parent is cut: by range of the partition column, or by list; or, for an output that is one partition, by list
// of its first column, with a single DEFAULT partition.
func partitionBy(s partition.Scheme, first string) string {
	switch s.By {
	case partition.All:
		return "PARTITION BY LIST (" + postgres.Ident(first) + ")"
	case partition.List:
		return "PARTITION BY LIST (" + postgres.Ident(s.Column) + ")"
	default:
		return "PARTITION BY RANGE (" + postgres.Ident(s.Column) + ")"
	}
}

// forValues renders the partition bound of a generation.
func forValues(g catalog.Generation) string {
	switch g.Scheme.By {
	case partition.All:
		return "DEFAULT"
	case partition.List:
		v, _ := g.Scheme.Value(g.Partition) // it was reserved with this scheme
		if v.Null {
			return "FOR VALUES IN (NULL)"
		}
		return "FOR VALUES IN (" + postgres.Literal(v.Text) + ")"
	default:
		return fromTo(g.Scheme, typeOf(g.Columns, g.Scheme.Column), g.Bounds())
	}
}

// chunkValues renders the bounds of a chunk.
func chunkValues(at *place) (string, error) {
	bounds, err := at.afterLegacy(at.scheme.ChunkBounds(at.key))
	return fromTo(at.scheme, typeOf(at.parent.Columns, at.scheme.Column), bounds), err
}

// fromTo renders bounds for a column of a type. What it cannot hold is no bound.
func fromTo(s partition.Scheme, columnType string, b partition.Bounds) string {
	lower, upper := "MINVALUE", "MAXVALUE"
	holdsLower, holdsUpper, _ := s.Reach(columnType, b)
	if holdsLower {
		lower = postgres.Literal(b.Lower)
	}
	if holdsUpper {
		upper = postgres.Literal(b.Upper)
	}
	return fmt.Sprintf("FOR VALUES FROM (%s) TO (%s)", lower, upper)
}

func typeOf(columns []generation.Column, name string) string {
	for _, c := range columns {
		if c.Name == name {
			return c.Type
		}
	}
	return ""
}

// reachable refuses a partition in which no value of the column's type lies.
func reachable(o pipeline.Output, g catalog.Generation) error {
	columnType := typeOf(g.Columns, o.Partition.Column)
	if _, _, empty := o.Partition.Reach(columnType, g.Bounds()); empty {
		return fault.Newf(fault.Invalid, "build", o.Table+" "+string(g.Partition), fmt.Sprintf("name another partition, or return %s as bigint in %s", o.Partition.Column, o.SQLFile),
			fmt.Sprintf("column %s is %s, of which no value lies in the partition", o.Partition.Column, columnType))
	}
	return nil
}

// inside is the condition of rows that belong to a generation's partition, in the form from which the server sees without a scan that
// no row breaks the partition's bounds.
func inside(o pipeline.Output, g catalog.Generation) string {
	column := postgres.Ident(o.Partition.Column)
	if o.Partition.By == partition.List {
		v, _ := o.Partition.Value(g.Partition) // the generation was reserved with it
		if v.Null {
			return column + " IS NULL"
		}
		return fmt.Sprintf("%[1]s IS NOT NULL AND %[1]s = %s", column, postgres.Literal(v.Text))
	}
	columnType := typeOf(g.Columns, o.Partition.Column)
	lower, upper, _ := o.Partition.Reach(columnType, g.Bounds())
	numeric := strings.HasPrefix(columnType, "numeric") // it is compared without its precision; and NaN is beyond every number
	conditions := []string{column + " IS NOT NULL"}
	if lower || numeric {
		conditions = append(conditions, column+" >= "+postgres.Literal(g.Lower))
	}
	if upper || numeric {
		conditions = append(conditions, column+" < "+postgres.Literal(g.Upper))
	}
	return strings.Join(conditions, " AND ")
}

// outside is the condition of rows that do not belong to a generation's partition, without those of which NULL is said already.
func outside(o pipeline.Output, g catalog.Generation) string {
	if ofNull(o.Partition, g.Partition) {
		return postgres.Ident(o.Partition.Column) + " IS NOT NULL"
	}
	return fmt.Sprintf("%s IS NOT NULL AND NOT (%s)", postgres.Ident(o.Partition.Column), inside(o, g))
}

// astray keeps keys of rows of a table that do not belong to the partition, for who corrects the source. They are read in the author's session:
// how a value becomes text may be the author's doing.
func (b *build) astray(ctx context.Context, o pipeline.Output, g catalog.Generation, table string) error {
	belongs := check.Check{Kind: check.Expression, SQL: "true"}
	for _, name := range keyColumns(o, g) {
		belongs.SQL += " AND " + postgres.Ident(name) + " IS NOT NULL"
	}
	if column := o.Partition.Column; column != "" {
		belongs.SQL += " AND " + inside(o, g)
		belongs.Columns = []string{column}
	}
	s, _ := check.Samples(table, checkColumns(g.Columns), belongs, o.Key)
	var keys []string
	err := pgx.BeginTxFunc(ctx, b.author, postgres.ReadOnly(), func(tx pgx.Tx) (err error) {
		keys, err = sampleRows(ctx, tx, s)
		return err
	})
	if err != nil {
		return err
	}
	return b.w.ledger.RecordSamples(ctx, b.w.pool, g.ID, outsideSubject, keys)
}

// outsideSubject is what keys of rows that do not belong to their partition are kept under.
const outsideSubject = "outside the partition"

// limits are the placeholders by which a SELECT leaves out what is not in its partition.
func limits(s partition.Scheme) string {
	if s.By == partition.List {
		return "@" + pipeline.PartitionValueParam
	}
	return "@" + pipeline.PartitionStartParam + " and @" + pipeline.PartitionEndParam
}

// extent says in words which values a partition has.
func extent(g catalog.Generation) string {
	switch g.Scheme.By {
	case partition.All:
		return ""
	case partition.List:
		return " " + string(g.Partition)
	default:
		return fmt.Sprintf(", from %s to before %s", g.Lower, g.Upper)
	}
}

// keyOf renders the canonical key of a row's partition: dates and timestamps are wall clock already, a timestamptz is
// read in the pipeline's zone. What is in no partition of a list has none.
func keyOf(s partition.Scheme, columnType string) string {
	column := postgres.Ident(s.Column)
	if s.By == partition.Range {
		size := strconv.FormatInt(s.Size, 10)
		// div is exact, and cuts towards 0; a division would round numbers of more than 16 digits into another partition.
		return fmt.Sprintf("((div(floor(%[1]s::numeric), %[2]s) - (mod(floor(%[1]s::numeric), %[2]s) < 0)::int) * %[2]s)::text", column, size)
	}
	if s.By == partition.List {
		var b strings.Builder
		b.WriteString("CASE")
		for _, v := range s.Values.All() {
			condition := column + " IS NULL"
			if !v.Null {
				condition = column + " = " + postgres.Literal(v.Text)
			}
			fmt.Fprintf(&b, " WHEN %s THEN %s", condition, postgres.Literal(string(v.Key)))
		}
		return b.String() + " END"
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
		partition.Hour: `YYYY-MM-DD"T"HH24`, partition.Day: "YYYY-MM-DD", partition.Week: `IYYY-"W"IW`, partition.Month: "YYYY-MM", partition.Year: "YYYY",
	}[s.By]
	// What lies before our era is no key, and must not become that of a day in it.
	return fmt.Sprintf("to_char(%[1]s, %[2]s) || CASE WHEN %[1]s < '0001-01-01' THEN ' BC' ELSE '' END", wall, postgres.Literal(format))
}

// bound are the arguments of an output's SQL for a partition, and their types as far as they are ours to choose.
func (w *Warehouse) bound(
	ctx context.Context, tx pgx.Tx, o pipeline.Output, sql string, params []string, key partition.Key, bounds partition.Bounds,
) (args [][]byte, types []uint32, err error) {
	if o.Partition.By == partition.Range && len(params) > 0 {
		if types, err = prepare(ctx, tx.Conn(), o, sql); err != nil {
			return nil, nil, err
		}
	}
	args, types = arguments(o.Partition, params, types, key, bounds)
	return args, types, nil
}

// arguments are the values of bound parameters for a partition. types are those that the server found for them, and may be nil where
// the partition is none of integers: literals read the same as date, timestamp or timestamptz. A bound beyond an integer type is given
// as one of a wider type, which compares with it.
func arguments(s partition.Scheme, params []string, types []uint32, key partition.Key, bounds partition.Bounds) (args [][]byte, given []uint32) {
	values := map[string][]byte{
		pipeline.PartitionParam: []byte(key), pipeline.PartitionStartParam: []byte(bounds.Lower), pipeline.PartitionEndParam: []byte(bounds.Upper),
	}
	if v, err := s.Value(key); s.By == partition.List && err == nil && !v.Null {
		values[pipeline.PartitionValueParam] = []byte(v.Text)
	}
	given = slices.Clone(types)
	args = make([][]byte, len(params))
	for i, name := range params {
		args[i] = values[name]
		for i < len(given) && beyond(given[i], string(args[i])) {
			given[i] = wider(given[i])
		}
	}
	return args, given
}

// wider is the next wider type of an integer type.
func wider(oid uint32) uint32 {
	switch oid {
	case pgtype.Int2OID:
		return pgtype.Int4OID
	case pgtype.Int4OID:
		return pgtype.Int8OID
	default:
		return pgtype.NumericOID
	}
}

// beyond says that a literal is an integer that an integer type does not hold.
func beyond(oid uint32, literal string) bool {
	bits := map[uint32]int{pgtype.Int2OID: 16, pgtype.Int4OID: 32, pgtype.Int8OID: 64}[oid]
	if bits == 0 {
		return false
	}
	_, err := strconv.ParseInt(literal, 10, bits)
	return err != nil
}

// unbounded is a bound that leaves nothing out, for the type that the server found for a parameter, and the type that it is given as.
func unbounded(param string, oid uint32) (value []byte, given uint32) {
	least, greatest := "-infinity", "infinity"
	given = oid
	switch oid {
	case pgtype.Int2OID:
		least, greatest, given = strconv.Itoa(math.MinInt16), strconv.Itoa(math.MaxInt16+1), wider(oid)
	case pgtype.Int4OID:
		least, greatest, given = strconv.Itoa(math.MinInt32), strconv.Itoa(math.MaxInt32+1), wider(oid)
	case pgtype.Int8OID:
		least, greatest, given = strconv.Itoa(math.MinInt64), "9223372036854775808", wider(oid)
	}
	switch param {
	case pipeline.PartitionStartParam:
		return []byte(least), given
	case pipeline.PartitionEndParam:
		return []byte(greatest), given
	}
	return []byte(partition.AllKey), oid
}
