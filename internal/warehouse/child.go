package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// buildMemory is what one index build may use; the server's default sorts a million rows on disk.
const buildMemory = "256MB"

// createChild creates the empty, standalone child and records it before it holds a row. It has the parent's columns in
// the parent's order, then those that only the candidate has.
func (b *build) createChild(ctx context.Context, o pipeline.Output, g *catalog.Generation, candidate []generation.Column) error {
	err := pgx.BeginTxFunc(ctx, b.conn, provisional(), func(tx pgx.Tx) error {
		return b.createChildren(ctx, tx, o, []*catalog.Generation{g}, candidate)
	})
	return postgres.Classify("create child of", o.Table, err)
}

// createChildren is createChild of several partitions, which have the same columns.
func (b *build) createChildren(ctx context.Context, tx pgx.Tx, o pipeline.Output, generations []*catalog.Generation, candidate []generation.Column) error {
	parent, err := b.w.findParent(ctx, tx, o.Table)
	if err != nil {
		return err
	}
	if parent.Kind == generation.Plain {
		return plainTable(o.Table, b.w.names.schema)
	}
	fresh, err := newColumns(o, parent.Columns, candidate)
	if err != nil {
		return err
	}
	if err := b.steady(ctx, tx, o, fresh, candidate); err != nil {
		return err
	}
	var columns []string
	if parent.Kind == generation.Managed {
		columns = append(columns, fmt.Sprintf("LIKE %s INCLUDING STORAGE INCLUDING COMPRESSION", b.w.names.parent(o.Table)))
	}
	for _, c := range fresh {
		columns = append(columns, postgres.Ident(c.Name)+" "+c.Type)
	}
	var returned, ddl []string
	for _, c := range candidate {
		returned = append(returned, c.Name)
	}
	for _, g := range generations {
		child := b.w.names.child(g.ID)
		ddl = append(ddl, fmt.Sprintf("CREATE TABLE %s (%s) WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off)", child, strings.Join(columns, ", ")))
		if author := b.w.pool.Author; author != "" {
			ddl = append(ddl, fmt.Sprintf("GRANT SELECT, INSERT ON %s TO %s", child, postgres.Ident(author)))
		}
	}
	if err := together(ctx, tx, ddl); err != nil {
		return err
	}
	names := make([]string, len(generations))
	for i, g := range generations {
		names[i] = b.w.names.child(g.ID)
	}
	var children []uint32
	if err := tx.QueryRow(ctx, `
		SELECT array_agg(c.name::regclass::oid ORDER BY c.position) FROM unnest($1::text[]) WITH ORDINALITY AS c (name, position)`, names).Scan(&children); err != nil {
		return err
	}
	shape, err := columnsOf(ctx, tx, children[0])
	if err != nil {
		return err
	}
	for i, g := range generations {
		g.Child, g.Columns, g.Returned = children[i], shape, returned
		if err := reachable(o, *g); err != nil {
			return err
		}
	}
	return b.w.ledger.SetChildren(ctx, tx, generations)
}

// together sends statements as one, so that they cost one journey to the server.
func together(ctx context.Context, tx pgx.Tx, statements []string) error {
	_, err := tx.Conn().PgConn().Exec(ctx, strings.Join(statements, ";\n")).ReadAll()
	return err
}

// steady holds what is active to the columns that it was published with: a run, or what turns back, adds none to what
// readers see and leaves none out. Whoever wants that deploys a release, and somebody looks at it.
func (b *build) steady(ctx context.Context, tx pgx.Tx, o pipeline.Output, fresh, candidate []generation.Column) error {
	active, err := b.w.ledger.Active(ctx, tx, b.spec.Release.Pipeline)
	if err != nil || active.None() || active.Number != b.spec.Tenure || b.spec.Control {
		return err
	}
	refuse := func(what string, names []string) error {
		return fault.Newf(fault.Refused, "build", o.Table, "name the columns in "+o.SQLFile+", raise the version, and deploy it: a run changes no columns",
			fmt.Sprintf("%s: %s", what, strings.Join(names, ", ")))
	}
	var names []string
	for _, c := range fresh {
		names = append(names, c.Name)
	}
	if len(names) > 0 {
		return refuse("the SELECT returns columns that the table does not have", names)
	}
	before, err := b.w.ledger.Returned(ctx, tx, o.Table, b.spec.Release.Digest, b.spec.Config)
	if err != nil {
		return err
	}
	for _, name := range before {
		if !slices.ContainsFunc(candidate, func(c generation.Column) bool { return c.Name == name }) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		return refuse("the SELECT leaves out columns that this release returned before", names)
	}
	return nil
}

// newColumns are the candidate's columns that the parent lacks. A column that both have with another type, and one that
// the parent demands and the SELECT leaves out, make the child unfit for the parent.
func newColumns(o pipeline.Output, parent, candidate []generation.Column) ([]generation.Column, error) {
	var fresh []generation.Column
	for _, c := range candidate {
		at := slices.IndexFunc(parent, func(p generation.Column) bool { return p.Name == c.Name })
		switch {
		case at < 0:
			fresh = append(fresh, c)
		case parent[at].Type != c.Type:
			return nil, fault.Newf(fault.Invalid, "build", o.Table, fmt.Sprintf("cast it in %s: %s::%s", o.SQLFile, c.Name, parent[at].Type),
				fmt.Sprintf("column %s is %s in the table and %s in the SELECT", c.Name, parent[at].Type, c.Type))
		}
	}
	for _, p := range parent {
		if p.NotNull && !slices.ContainsFunc(candidate, func(c generation.Column) bool { return c.Name == p.Name }) {
			return nil, fault.Newf(fault.Invalid, "build", o.Table, "select it, or make it nullable by a migration",
				"the SELECT leaves out column "+p.Name+", which the table demands")
		}
	}
	needed := slices.Clone(o.Key)
	if o.VersionColumn != "" {
		needed = append(needed, o.VersionColumn)
	}
	if o.Partition.Column != "" {
		needed = append(needed, o.Partition.Column)
	}
	for _, index := range o.Indexes {
		needed = append(needed, index...)
	}
	for _, name := range needed {
		if !slices.ContainsFunc(candidate, func(c generation.Column) bool { return c.Name == name }) {
			return nil, fault.Newf(fault.Invalid, "build", o.Table, "select it in "+o.SQLFile,
				"the SELECT does not return column "+name+", which the key, the partition, the version or an index names")
		}
	}
	return fresh, nil
}

// fill runs the SELECT into the child, in its author's session. Then, in ours, nobody else can write the child any more, its
// bounds and key are proved, and it is indexed, in one transaction. Right after its commit it lists whose snapshots are too
// old to see the rows, for the publish to wait for. Then it vacuums.
func (b *build) fill(ctx context.Context, o pipeline.Output, g *catalog.Generation, candidate []generation.Column) error {
	object, child := o.Table+" "+string(g.Partition), b.w.names.child(g.ID)
	b.progress(Progress{Stage: StageTransform, Output: o.Table, Partition: g.Partition, RowsIn: g.Loaded})
	started := time.Now()
	var err error
	if g.Rows, err = b.write(ctx, o, g, candidate); err != nil {
		return err
	}
	b.progress(Progress{Stage: StageTransform, Done: true, Output: o.Table, Partition: g.Partition, RowsIn: g.Loaded, RowsOut: g.Rows, Elapsed: time.Since(started)})
	proved := false
	err = pgx.BeginTxFunc(ctx, b.conn, provisional(), func(tx pgx.Tx) error {
		b.progress(Progress{Stage: StageIndex, Output: o.Table, Partition: g.Partition, RowsIn: g.Rows})
		started = time.Now()
		if author := b.w.pool.Author; author != "" {
			if _, err := tx.Exec(ctx, fmt.Sprintf("REVOKE INSERT ON %s FROM %s", child, postgres.Ident(author))); err != nil {
				return err
			}
		}
		if err := b.w.prove(ctx, tx, o, *g); err != nil {
			return err
		}
		proved = true
		if err := b.w.index(ctx, tx, o, *g); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT pg_current_xact_id()::text`).Scan(&g.BuiltXID); err != nil {
			return err
		}
		b.progress(Progress{Stage: StageIndex, Done: true, Output: o.Table, Partition: g.Partition, RowsIn: g.Rows, RowsOut: g.Rows, Elapsed: time.Since(started)})
		return nil
	})
	if err != nil && !proved && fault.ClassOf(err) == fault.Invalid {
		if err := b.astray(ctx, o, *g, b.w.names.child(g.ID)); err != nil {
			return postgres.Classify("build", object, err)
		}
	}
	if err != nil {
		return postgres.Classify("build", object, err)
	}
	if g.Older, g.ListedAt, err = b.w.pool.Older(ctx, g.BuiltXID); err != nil {
		return postgres.Classify("list older snapshots for", object, err)
	}
	_, err = b.conn.Exec(ctx, "VACUUM (ANALYZE) "+child)
	return postgres.Classify("vacuum", object, err)
}

// insert runs the SELECT into a table with a partition's values bound, and notes what it reads. Where deletes is an expression, the
// table has a column for whether it is true of a row. It returns how many rows the SELECT gave.
func (b *build) insert(
	ctx context.Context, o pipeline.Output, into, deletes string, key partition.Key, bounds partition.Bounds, candidate []generation.Column,
) (rows int64, err error) {
	names := make([]string, len(candidate))
	for i, c := range candidate {
		names[i] = c.Name
	}
	text, params := pipeline.Bind(o.SQL)
	list := postgres.Idents(names)
	columns, values := list, list
	if deletes != "" {
		columns, values = list+", "+postgres.Ident(batchDeletes), list+", coalesce(("+deletes+"\n), false)"
	}
	sql := fmt.Sprintf("INSERT INTO %s (%s)\nSELECT %s FROM (\n%s\n) AS output", into, columns, values, text)
	err = pgx.BeginTxFunc(ctx, b.author, provisional(), func(tx pgx.Tx) error {
		args, types, err := b.w.bound(ctx, tx, o, sql, params, key, bounds)
		if err != nil {
			return err
		}
		result := tx.Conn().PgConn().ExecParams(ctx, sql, args, types, nil, nil).Read()
		if result.Err != nil {
			return postgres.ClassifyRun("run", o.SQLFile, result.Err, names...)
		}
		rows = result.CommandTag.RowsAffected()
		found, err := reads(ctx, b.conn, b.author.PID)
		b.reads = slices.DeleteFunc(found, func(name string) bool { return strings.HasPrefix(name, b.w.names.data()+".") }) // ours
		return err
	})
	if err != nil {
		return 0, postgres.Classify("build", o.Table, err)
	}
	// What it has set is not for the next output, nor for the sums of what it has built.
	_, err = b.author.Exec(ctx, "RESET ALL")
	return rows, postgres.Classify("build", o.Table, err)
}

// prove adds what ATTACH then takes for granted without a scan: the bounds, and that no key is NULL. One ALTER TABLE
// scans once. Where rows break it, the fault says how many, and of which column.
func (w *Warehouse) prove(ctx context.Context, tx pgx.Tx, o pipeline.Output, g catalog.Generation) error {
	if len(keyColumns(o, g)) == 0 && o.Partition.Column == "" {
		return nil
	}
	err := savepoint(ctx, tx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, w.proof(o, g))
		return err
	})
	if state := postgres.SQLState(err); state != pgerrcode.NotNullViolation && state != pgerrcode.CheckViolation {
		return err
	}
	if unfit := w.unfit(ctx, tx, o, g, w.names.child(g.ID)); unfit != nil {
		return unfit
	}
	return err
}

// unfit refuses rows of a table that have no key, or are of another partition: it says how many, and of which column.
func (w *Warehouse) unfit(ctx context.Context, tx pgx.Tx, o pipeline.Output, g catalog.Generation, table string) error {
	var broken, reasons []string
	for _, name := range keyColumns(o, g) {
		broken = append(broken, postgres.Ident(name)+" IS NULL")
		reasons = append(reasons, "column "+name+" is NULL")
	}
	if column := o.Partition.Column; column != "" {
		broken = append(broken, outside(o, g))
		reasons = append(reasons, fmt.Sprintf("column %s lies outside the partition%s", column, extent(g)))
	}
	found := make([]string, 0, len(broken))
	for i, condition := range broken {
		var rows int64
		if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", table, condition)).Scan(&rows); err != nil {
			return err
		}
		if rows > 0 {
			found = append(found, fmt.Sprintf("%d of %d rows: %s", rows, g.Rows, reasons[i]))
		}
	}
	if len(found) == 0 {
		return nil
	}
	return fault.Newf(fault.Invalid, "build", o.Table+" "+string(g.Partition),
		fmt.Sprintf("%s must leave such rows out (it may filter by %s), or the source is to be corrected; keys of them: %s", o.SQLFile, limits(o.Partition), w.ledger.SamplesQuery(g.ID)),
		strings.Join(found, "; "))
}

// proof is the ALTER TABLE that proves a child's bounds, and that no key is NULL.
func (w *Warehouse) proof(o pipeline.Output, g catalog.Generation) string {
	var actions []string
	for _, name := range keyColumns(o, g) {
		actions = append(actions, "ALTER COLUMN "+postgres.Ident(name)+" SET NOT NULL")
	}
	if column := o.Partition.Column; column != "" {
		actions = append(actions, fmt.Sprintf("ADD CONSTRAINT %s CHECK (%s)", postgres.Ident(childName(g.ID)+"_bounds"), inside(o, g)))
	}
	return "ALTER TABLE " + w.names.child(g.ID) + " " + strings.Join(actions, ", ")
}

// keyColumns are the columns that must not be NULL in a partition. In that of a list which is of NULL, its column is not one of them.
func keyColumns(o pipeline.Output, g catalog.Generation) []string {
	columns := slices.Clone(o.Key)
	if c := o.Partition.Column; c != "" && !slices.Contains(columns, c) && !ofNull(o.Partition, g.Partition) {
		columns = append(columns, c)
	}
	return columns
}

// index builds the unique key and the other indexes. Duplicates of the key are a fault that says how many.
func (w *Warehouse) index(ctx context.Context, tx pgx.Tx, o pipeline.Output, g catalog.Generation) error {
	indexes := w.indexes(o, g)
	if _, err := tx.Exec(ctx, "SET LOCAL maintenance_work_mem = "+postgres.Literal(buildMemory)); err != nil {
		return err
	}
	if len(o.Key) > 0 {
		err := savepoint(ctx, tx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, indexes[0])
			return err
		})
		if postgres.SQLState(err) == pgerrcode.UniqueViolation {
			return w.duplicates(ctx, tx, o, g)
		}
		if err != nil {
			return err
		}
		indexes = indexes[1:]
	}
	for _, index := range indexes {
		if _, err := tx.Exec(ctx, index); err != nil {
			return err
		}
	}
	return nil
}

// indexes are the statements that build a child's indexes: the unique key's first, where there is a key.
func (w *Warehouse) indexes(o pipeline.Output, g catalog.Generation) []string {
	child, name := w.names.child(g.ID), childName(g.ID)
	var statements []string
	if len(o.Key) > 0 {
		statements = append(statements, fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s)", postgres.Ident(name+"_key"), child, postgres.Idents(o.Key)))
	}
	for i, columns := range o.Indexes {
		statements = append(statements, fmt.Sprintf("CREATE INDEX %s ON %s (%s)", postgres.Ident(fmt.Sprintf("%s_i%d", name, i+1)), child, postgres.Idents(columns)))
	}
	return statements
}

func (w *Warehouse) duplicates(ctx context.Context, tx pgx.Tx, o pipeline.Output, g catalog.Generation) error {
	var keys, rows int64
	err := tx.QueryRow(ctx, fmt.Sprintf(`
		SELECT count(*), coalesce(sum(copies), 0)::bigint
		FROM (SELECT count(*) AS copies FROM %s GROUP BY %s HAVING count(*) > 1) AS duplicates`,
		w.names.child(g.ID), postgres.Idents(o.Key))).Scan(&keys, &rows)
	if err != nil {
		return err
	}
	return fault.Newf(fault.Invalid, "build", o.Table+" "+string(g.Partition), "make the SELECT return one row a key, or correct the key",
		fmt.Sprintf("the key (%s) must be unique in a partition, and repeats: distinct values %d, rows %d", strings.Join(o.Key, ", "), keys, rows))
}

// sealChildren refuse every write to children of an output from now on, give them the parent's owner, and let autovacuum in. They
// return the owner.
func (w *Warehouse) sealChildren(ctx context.Context, tx pgx.Tx, generations []*catalog.Generation) (owner uint32, err error) {
	parentOwner, err := w.parentOwner(ctx, tx, generations[0].Output)
	if err != nil {
		return 0, err
	}
	var statements []string
	for _, g := range generations {
		child := w.names.child(g.ID)
		statements = append(statements, w.guard(child)...)
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s RESET (autovacuum_enabled, toast.autovacuum_enabled)", child))
		if parentOwner != "" {
			statements = append(statements, fmt.Sprintf("ALTER TABLE %s OWNER TO %s", child, postgres.Ident(parentOwner)))
		}
	}
	if err := together(ctx, tx, statements); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT relowner FROM pg_class WHERE oid = $1`, generations[0].Child).Scan(&owner)
	return owner, err
}

// parentOwner is who owns an output's table; empty: we do, or it is not there yet.
func (w *Warehouse) parentOwner(ctx context.Context, tx pgx.Tx, output string) (owner string, err error) {
	err = tx.QueryRow(ctx, `
		SELECT coalesce((SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass($1) AND relowner <> current_user::regrole), '')`,
		w.names.parent(output)).Scan(&owner)
	return owner, err
}

// dropChildren drops the children of generations that are not live, as far as they are still there, all of them or none. Where one
// has moved since it was read, and be it there and back, they stay: their time begins anew. Where one hangs in a parent they stay too:
// the ledger would be wrong about it, and its rows may be read.
func (w *Warehouse) dropChildren(ctx context.Context, gone []catalog.Generation) error {
	var ids []int64
	for _, g := range gone {
		ids = append(ids, g.ID)
	}
	return pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '2s'`); err != nil {
			return err
		}
		// The rows' locks keep a publish from attaching them between the look and the drop.
		locked, err := w.ledger.LockGenerations(ctx, tx, ids)
		if err != nil {
			return err
		}
		for _, g := range gone {
			if now := locked[g.ID]; now.State != g.State || !now.At.Equal(g.At) {
				return nil
			}
			if err := w.leaveBatch(ctx, tx, g); err != nil {
				return err
			}
		}
		found, err := w.children(ctx, tx, ids)
		if err != nil {
			return err
		}
		for _, g := range gone {
			child, there := found[g.ID]
			if child.Parent != 0 && !child.Aside {
				return fault.Newf(fault.Conflict, "drop", childName(g.ID), "look at who attached it: the ledger has it as "+string(g.State), "it is attached to a table")
			}
			if there {
				if _, err := tx.Exec(ctx, "DROP TABLE "+w.names.child(g.ID)+" RESTRICT"); err != nil {
					return err
				}
			}
			if err := w.ledger.SetState(ctx, tx, g.ID, generation.Dropped, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

// leaveBatch takes a child out of the parent of a batch whose build was stopped.
func (w *Warehouse) leaveBatch(ctx context.Context, tx pgx.Tx, g catalog.Generation) error {
	var batch string
	if err := tx.QueryRow(ctx, `
		SELECT coalesce(max(p.relname), '')
		FROM pg_class c
		JOIN pg_inherits i ON i.inhrelid = c.oid
		JOIN pg_class p ON p.oid = i.inhparent AND p.relnamespace = c.relnamespace AND p.relname ~ '^b[0-9]+$'
		WHERE c.oid = to_regclass($1)`, w.names.child(g.ID)).Scan(&batch); err != nil || batch == "" {
		return err
	}
	_, err := tx.Exec(ctx, fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s", pgx.Identifier{w.names.data(), batch}.Sanitize(), w.names.child(g.ID)))
	return err
}

// savepoint runs f so that its failure leaves the transaction usable.
func savepoint(ctx context.Context, tx pgx.Tx, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, tx, f)
}
