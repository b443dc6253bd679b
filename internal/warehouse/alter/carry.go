package alter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// carry lets the server say what indexes, checks and statistics over replaced columns become over the columns that take their place. Nothing
// of their text is written here: the server writes it, of a copy of the table without rows, in a transaction of which nothing stays.
func (t *Tables) carry(ctx context.Context, d *migrate.Table, replaced []migrate.Replacement) error {
	replaced = slices.DeleteFunc(slices.Clone(replaced), func(r migrate.Replacement) bool {
		_, there := d.Column(r.Column)
		return !there
	})
	over := func(columns []string) bool {
		return slices.ContainsFunc(replaced, func(r migrate.Replacement) bool { return slices.Contains(columns, r.Column) })
	}
	var err error
	become := func(of *relic, name string) *migrate.Carried {
		if err != nil {
			return nil
		}
		var c migrate.Carried
		c, err = t.carryOne(ctx, *d, replaced, of, name)
		return &c
	}
	for n := range d.Indexes {
		if i := &d.Indexes[n]; (!i.Constraint || d.Carries(i.Name)) && over(i.Columns) {
			i.Carried = become(indexes(), i.Name)
		}
	}
	for n := range d.Checks {
		if k := &d.Checks[n]; over(k.Columns) {
			k.Carried = become(checks(), k.Name)
		}
	}
	for n := range d.Statistics {
		e := &d.Statistics[n]
		if !over(e.Columns) {
			continue
		}
		if e.Carried = become(statistics(), e.Name); e.Schema != d.Schema {
			e.Carried = &migrate.Carried{Refused: "it is in the schema " + e.Schema}
		}
	}
	return err
}

// relic is a kind of thing that goes with a column that it is over.
type relic struct {
	// class is its catalog, and named a query of the OID of the table's ($1) of a name ($2).
	class, named string
	// text is a query of what it says, by its OID ($1): what the server writes of it, what it begins with, one way or another, what it ends
	// with, its condition, and why it cannot be carried; empty: it can.
	text string
	// create makes one of a text on the copy.
	create string
}

const trialThing = "drawbridge_tried"

func indexes() *relic {
	return &relic{
		class: "pg_class",
		named: `SELECT c.oid FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE x.indrelid = $1 AND c.relname = $2`,
		text: `
			SELECT pg_get_indexdef(x.indexrelid),
			       ARRAY(
			         SELECT format('CREATE %sINDEX %I ON %s%I.%I ', CASE WHEN x.indisunique THEN 'UNIQUE ' END, i.relname, CASE WHEN c.relkind = 'p' THEN 'ONLY ' END, s.name, c.relname)
			         FROM unnest(ARRAY[n.nspname, CASE WHEN n.oid = pg_my_temp_schema() THEN 'pg_temp' END]::text[]) AS s (name)
			         WHERE s.name IS NOT NULL),
			       '', coalesce(pg_get_expr(x.indpred, x.indrelid), ''),
			       CASE
			         WHEN NOT (x.indisvalid AND x.indisready) THEN 'it is not valid: make it again, or drop it'
			         WHEN x.indisclustered THEN 'the table is clustered by it'
			         WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = x.indexrelid AND attstattarget >= 0) THEN 'it has a statistics target of its own'
			         WHEN i.reltablespace <> 0 AND NOT has_tablespace_privilege(i.reltablespace, 'CREATE') THEN 'our login may not make one in its tablespace'
			         ELSE ''
			       END
			FROM pg_index x
			JOIN pg_class i ON i.oid = x.indexrelid
			JOIN pg_class c ON c.oid = x.indrelid
			JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE x.indexrelid = $1`,
		create: "CREATE %sINDEX " + trialThing + " ON pg_temp." + trialTable + " %s",
	}
}

func checks() *relic {
	return &relic{
		class: "pg_constraint",
		named: `SELECT oid FROM pg_constraint WHERE conrelid = $1 AND conname = $2 AND contype = 'c'`,
		// Version 18 has checks that are not enforced, which older ones do not know.
		text: `
			SELECT pg_get_expr(conbin, conrelid), ARRAY[''], '', '',
			       CASE WHEN to_jsonb(k) ->> 'conenforced' = 'false' THEN 'nobody is held to it' ELSE '' END
			FROM pg_constraint k
			WHERE oid = $1`,
		create: "ALTER TABLE pg_temp." + trialTable + " ADD CONSTRAINT " + trialThing + " CHECK (%[2]s)",
	}
}

func statistics() *relic {
	return &relic{
		class: "pg_statistic_ext",
		named: `SELECT oid FROM pg_statistic_ext WHERE stxrelid = $1 AND stxname = $2`,
		text: `
			SELECT pg_get_statisticsobjdef(e.oid),
			       ARRAY(
			         SELECT format('CREATE STATISTICS %I.%I', s.name, e.stxname)
			         FROM unnest(ARRAY[n.nspname, CASE WHEN n.oid = pg_my_temp_schema() THEN 'pg_temp' END]::text[]) AS s (name)
			         WHERE s.name IS NOT NULL),
			       ' FROM ' || e.stxrelid::regclass, '',
			       CASE
			         WHEN NOT pg_has_role(e.stxowner, 'USAGE') THEN 'they belong to ' || pg_get_userbyid(e.stxowner)
			         WHEN NOT has_schema_privilege(e.stxowner, n.oid, 'CREATE') THEN 'they belong to ' || pg_get_userbyid(e.stxowner) || ', who may not make any in the schema'
			         ELSE ''
			       END
			FROM pg_statistic_ext e
			JOIN pg_namespace n ON n.oid = e.stxnamespace
			WHERE e.oid = $1`,
		create: "CREATE STATISTICS pg_temp." + trialThing + "%[2]s FROM pg_temp." + trialTable,
	}
}

// errUnlike says that the server writes something otherwise than is known here.
var errUnlike = errors.New("the server writes it otherwise than is known here")

// carryOne says what becomes of one thing.
func (t *Tables) carryOne(ctx context.Context, d migrate.Table, replaced []migrate.Replacement, of *relic, name string) (c migrate.Carried, err error) {
	err = t.tried(ctx, func(tx pgx.Tx) (err error) {
		trial := relicTrial{tx: tx, table: t.name(d.Name), replaced: replaced, of: of}
		c, err = trial.carried(ctx, d, name)
		return err
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && !postgres.Contended(err) && authors(pg.Code) {
		return migrate.Carried{Refused: said(pg)}, nil
	}
	if errors.Is(err, errUnlike) {
		return migrate.Carried{Refused: err.Error()}, nil
	}
	return c, err
}

// relicTrial is a transaction in which it is tried what becomes of something.
type relicTrial struct {
	tx       pgx.Tx
	table    string
	replaced []migrate.Replacement
	of       *relic
}

// carried tries it twice. On a copy of which the columns themselves get new types and names the server writes the text anew; on a copy that
// has both columns, as the table will have them, it is made of that text.
func (r *relicTrial) carried(ctx context.Context, d migrate.Table, name string) (migrate.Carried, error) {
	none := migrate.Carried{}
	was, err := r.read(ctx, d.OID, name)
	if err != nil || was.refused != "" {
		return migrate.Carried{Refused: was.refused}, err
	}
	if err := r.copied(ctx, was, was.rest); err != nil {
		return none, err
	}
	for _, c := range r.replaced {
		if c.Type != "" {
			if err := r.alter(ctx, "ALTER COLUMN %s TYPE "+c.Type+" USING NULL", c.Column); err != nil {
				return none, err
			}
		}
	}
	for _, c := range r.replaced {
		if err := r.alter(ctx, "RENAME COLUMN %s TO %s", c.Column, c.Added); err != nil {
			return none, err
		}
	}
	becomes, err := r.readTrial(ctx)
	if err != nil || becomes.refused != "" {
		return migrate.Carried{Refused: becomes.refused}, err
	}
	if err := r.exec(ctx, "DROP TABLE pg_temp."+trialTable); err != nil {
		return none, err
	}
	var added []string
	for _, c := range r.replaced {
		old, _ := d.Column(c.Column)
		definition := c.Type
		if definition == "" {
			definition = old.Type
		}
		if old.Collation != "" {
			definition += " COLLATE " + old.Collation
		}
		added = append(added, "ADD COLUMN "+postgres.Ident(c.Added)+" "+definition)
	}
	if err := r.copied(ctx, was, becomes.rest, added...); err != nil {
		return none, err
	}
	until, err := r.readTrial(ctx)
	if err != nil || until.refused != "" {
		return migrate.Carried{Refused: until.refused}, err
	}
	for _, c := range r.replaced {
		if c.Added == c.Renamed {
			continue
		}
		if err := r.alter(ctx, "RENAME COLUMN %s TO %s", c.Column, c.Formerly); err != nil {
			return none, err
		}
		if err := r.alter(ctx, "RENAME COLUMN %s TO %s", c.Added, c.Renamed); err != nil {
			return none, err
		}
	}
	after, err := r.readTrial(ctx)
	return migrate.Carried{Refused: after.refused, Until: until.rest, After: after.rest, Where: until.where}, err
}

// written is what the server writes of something.
type written struct {
	begin, rest, where, refused string
}

// copied makes a copy of the table, with more columns, and on it the thing that a text says.
func (r *relicTrial) copied(ctx context.Context, was written, rest string, added ...string) error {
	if err := r.exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s (LIKE %s)", trialTable, r.table)); err != nil {
		return err
	}
	for _, column := range added {
		if err := r.alter(ctx, column); err != nil {
			return err
		}
	}
	unique := ""
	if strings.HasPrefix(was.begin, "CREATE UNIQUE ") {
		unique = "UNIQUE "
	}
	return r.exec(ctx, fmt.Sprintf(r.of.create, unique, rest))
}

func (r *relicTrial) alter(ctx context.Context, action string, names ...string) error {
	quoted := make([]any, len(names))
	for i, name := range names {
		quoted[i] = postgres.Ident(name)
	}
	if len(names) > 0 {
		action = fmt.Sprintf(action, quoted...)
	}
	return r.exec(ctx, "ALTER TABLE pg_temp."+trialTable+" "+action)
}

// exec runs one statement, whatever the text.
func (r *relicTrial) exec(ctx context.Context, sql string) error {
	_, err := r.tx.Exec(ctx, sql, pgx.QueryExecModeExec)
	return err
}

func (r *relicTrial) readTrial(ctx context.Context) (written, error) {
	var relation uint32
	if err := r.tx.QueryRow(ctx, `SELECT ('pg_temp.' || $1)::regclass::oid`, trialTable).Scan(&relation); err != nil {
		return written{}, err
	}
	return r.read(ctx, relation, trialThing)
}

// read reads the thing of a name. It is refused where it calls anything but what Postgres brings along: whoever made it could have that run
// with the rights of whoever makes it again.
func (r *relicTrial) read(ctx context.Context, relation uint32, name string) (w written, err error) {
	var oid uint32
	if err := r.tx.QueryRow(ctx, r.of.named, relation, name).Scan(&oid); err != nil {
		return w, fmt.Errorf("look for %s: %w", name, err)
	}
	var foreign, begins []string
	if err := r.tx.QueryRow(ctx, `
		SELECT ARRAY(
		  SELECT DISTINCT i.type || ' ' || i.identity
		  FROM pg_depend dep
		  LEFT JOIN pg_type ty ON dep.refclassid = 'pg_type'::regclass AND ty.oid = dep.refobjid
		  CROSS JOIN pg_identify_object(dep.refclassid, dep.refobjid, 0) i
		  WHERE dep.classid = $1::regclass AND dep.objid = $2
		    AND (dep.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) OR ty.typtype IN ('d', 'c'))
		  ORDER BY 1)`, r.of.class, oid).Scan(&foreign); err != nil {
		return w, fmt.Errorf("look what %s depends on: %w", name, err)
	}
	if len(foreign) > 0 {
		w.refused = "it depends on what Postgres does not bring along: " + strings.Join(foreign, ", ")
		return w, nil
	}
	var text, end string
	if err := r.tx.QueryRow(ctx, r.of.text, oid).Scan(&text, &begins, &end, &w.where, &w.refused); err != nil {
		return w, fmt.Errorf("read %s: %w", name, err)
	}
	for _, begin := range begins {
		rest, ok := strings.CutPrefix(text, begin)
		if rest, whole := strings.CutSuffix(rest, end); ok && whole && (w.where == "" || strings.HasSuffix(rest, " WHERE "+w.where)) {
			w.begin, w.rest = begin, rest
			return w, nil
		}
	}
	return w, errUnlike
}
