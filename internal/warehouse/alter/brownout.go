package alter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// Brownout begins the brownout of a migration, or ends it, once under its key, and returns how it stands. What it takes is recorded with the
// transaction that takes it, and just that is given back, by whoever ends it: a table's rights are then what they were, and what others have
// given meanwhile. It begins in the deprecation window only. It ends at any time, a hold or not; twice is once.
func (t *Tables) Brownout(ctx context.Context, spec migrate.BrownoutSpec) (migrate.Tried, error) {
	p, kind := spec.Plan, "end brownout"
	if spec.On {
		kind = "begin brownout"
	}
	if p.Brownout == nil {
		return migrate.Tried{}, fault.Newf(fault.Invalid, kind, object(p), "see what its plan says: drawbridge status "+spec.Owner.Workflow(), "its plan has no brownout")
	}
	tried, err := postgres.Once(ctx, t.pool, t.ledger, postgres.Effect{Key: spec.Key.String(), Kind: kind, Application: spec.Application}, func(tx pgx.Tx) (migrate.Tried, error) {
		facts, err := t.stay(ctx, tx, spec.Owner)
		if err != nil {
			return migrate.Tried{}, err
		}
		if err := cmp.Or(driven(facts, spec.Owner), planned(facts, p)); err != nil {
			return migrate.Tried{}, err
		}
		m := facts.Migration
		on := m.Tried().On()
		switch {
		case spec.On == on, spec.On && m.BrownoutHeld:
			return m.Tried(), nil
		case spec.On:
			err = t.darken(ctx, tx, facts, p)
		default:
			err = t.lighten(ctx, tx, m, p)
		}
		if err != nil {
			return migrate.Tried{}, err
		}
		m, err = t.ledger.Migration(ctx, tx, m.Owner)
		return m.Tried(), err
	})
	if postgres.SQLState(err) == pgerrcode.InternalError { // somebody else changed the rights of the same table at the same moment
		err = errors.Join(postgres.ErrContended, err)
	}
	return tried, postgres.Classify(kind, object(p), err)
}

// BrownoutBlocked is why the brownout of a plan cannot begin, as far as the table says, and what to do; empty: it can.
func (t *Tables) BrownoutBlocked(ctx context.Context, p migrate.Plan) ([]string, error) {
	err := t.readOnly(ctx, func(tx pgx.Tx) error {
		table, err := t.relation(ctx, tx, p.Migration.Table)
		if err == nil {
			_, err = t.rights(ctx, tx, table, p)
		}
		return err
	})
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return []string{f.Err.Error() + ": " + fault.HintOf(f)}, nil
	}
	return nil, postgres.Classify("look at the rights on", object(p), err)
}

// BrownedOut are the migrations whose brownout is on.
func (t *Tables) BrownedOut(ctx context.Context) ([]migrate.Standing, error) {
	list, err := t.ledger.BrownedOut(ctx, t.pool)
	if err != nil {
		return nil, postgres.Classify("look for brownouts of", t.schema, err)
	}
	return t.standing(ctx, list)
}

// darken takes the rights on what the plan's contract takes away, and lets nothing be filled in.
func (t *Tables) darken(ctx context.Context, tx pgx.Tx, facts catalog.MigrationFacts, p migrate.Plan) error {
	m := facts.Migration
	switch {
	case m.Back:
		return turned(m)
	case migrate.Phase(m.Phase) != migrate.Deprecating:
		return fault.Newf(fault.Conflict, "begin brownout", object(p), "see where it is: drawbridge status", "it is in the phase "+m.Phase)
	}
	if err := held(facts); err != nil {
		return err
	}
	table, err := t.relation(ctx, tx, p.Migration.Table)
	if err != nil {
		return err
	}
	// Nobody adds a column meanwhile, of which the rights would be forgotten.
	if _, err := tx.Exec(ctx, `LOCK TABLE `+table.Name+` IN ACCESS SHARE MODE`); err != nil {
		return err
	}
	if err := still(ctx, tx, table); err != nil {
		return err
	}
	rights, err := t.rights(ctx, tx, table, p)
	if err != nil {
		return err
	}
	var rest []string
	var numbers []int16
	if err := tx.QueryRow(ctx, `
		SELECT coalesce(array_agg(attname::text ORDER BY attnum), '{}'), coalesce(array_agg(attnum ORDER BY attnum), '{}')
		FROM pg_attribute
		WHERE attrelid = $1 AND NOT attisdropped AND attname <> ALL($2)`, table.OID, p.Brownout.Columns).Scan(&rest, &numbers); err != nil {
		return fmt.Errorf("read columns: %w", err)
	}
	own := slices.IndexFunc(numbers, func(n int16) bool { return n > 0 })
	if own < 0 {
		own = len(numbers)
	}
	var do []string
	for i, r := range rights {
		switch {
		case r.Number == 0:
			left := rest // what reads a row may read what the server adds to it
			rights[i].Given = numbers
			if r.Privilege != "SELECT" {
				left, rights[i].Given = rest[own:], numbers[own:]
			}
			do = append(do, revoke(table, r), fmt.Sprintf("GRANT %s (%s) ON %s TO %s", r.Privilege, postgres.Idents(left), table.Name, grantee(r)))
		case slices.Contains(p.Brownout.Columns, r.Column):
			do = append(do, revoke(table, r))
		}
	}
	if err := run(ctx, tx, append(do, p.Brownout.On...)); err != nil {
		return err
	}
	return t.ledger.BeginBrownout(ctx, tx, m.Owner, rights)
}

// lighten gives back what darken took. What was left to a role in place of the whole table is taken from it; where nothing of that is left,
// somebody has taken the role's rights meanwhile, and that stands. On a single column that goes nothing can be seen of that.
func (t *Tables) lighten(ctx context.Context, tx pgx.Tx, m catalog.Migration, p migrate.Plan) error {
	table, err := t.relation(ctx, tx, p.Migration.Table)
	if err != nil {
		return err
	}
	if err := still(ctx, tx, table); err != nil {
		return err
	}
	taken, err := t.ledger.TakenRights(ctx, tx, m.Owner, table.OID)
	if err != nil {
		return err
	}
	type holder struct {
		grantee   uint32
		privilege string
	}
	lost := map[holder]bool{}
	var do []string
	for _, r := range taken { // those on the whole table come first
		of := holder{r.Grantee, r.Privilege}
		switch {
		case r.Number != 0 && !lost[of]:
			do = append(do, grant(table, r.Right))
		case r.Number != 0:
		case len(r.Left) == 0:
			lost[of] = true
		default:
			do = append(do, fmt.Sprintf("REVOKE %s (%s) ON %s FROM %s", r.Privilege, postgres.Idents(r.Left), table.Name, grantee(r.Right)), grant(table, r.Right))
		}
	}
	if err := run(ctx, tx, append(do, p.Brownout.Off...)); err != nil {
		return err
	}
	return t.ledger.EndBrownout(ctx, tx, m.Owner, p.Brownout.For)
}

// still keeps the rights that were given on a table and its columns as they are until the transaction ends: whoever gives or takes one waits, and
// so what is read now is what is taken. No lock does that but that of the rows in the catalog, which a change of rights writes; this one takes
// from everybody what nobody but a role can have.
func still(ctx context.Context, tx pgx.Tx, table postgres.Relation) error {
	var whole bool
	var columns []string
	if err := tx.QueryRow(ctx, `
		SELECT c.relacl IS NOT NULL, ARRAY(
		         SELECT a.attname::text FROM pg_attribute a
		         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attacl IS NOT NULL
		         ORDER BY a.attnum)
		FROM pg_class c
		WHERE c.oid = $1`, table.OID).Scan(&whole, &columns); err != nil {
		return fmt.Errorf("look for rights: %w", err)
	}
	switch {
	case whole: // with the columns
		return run(ctx, tx, []string{"REVOKE GRANT OPTION FOR SELECT ON " + table.Name + " FROM PUBLIC"})
	case len(columns) > 0:
		return run(ctx, tx, []string{fmt.Sprintf("REVOKE GRANT OPTION FOR SELECT (%s) ON %s FROM PUBLIC", postgres.Idents(columns), table.Name)})
	}
	return nil
}

// rights are those that a brownout takes from others than the owner, and those that go with them: on the whole table, and on columns of
// whoever has one on the whole table, or on a column that is refused. Where one of them has given such a right to others it could not be taken, or
// given back as it was, and is refused.
func (t *Tables) rights(ctx context.Context, tx pgx.Tx, table postgres.Relation, p migrate.Plan) ([]catalog.Right, error) {
	if len(p.Brownout.Columns) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `
		WITH given AS (
		  SELECT r.grantee, r.grantor, r.privilege_type, r.is_grantable, 0::int2 AS attnum, '' AS attname, c.relowner
		  FROM pg_class c
		  CROSS JOIN aclexplode(c.relacl) r
		  WHERE c.oid = $1
		  UNION ALL
		  SELECT r.grantee, r.grantor, r.privilege_type, r.is_grantable, a.attnum, a.attname::text, c.relowner
		  FROM pg_class c
		  JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
		  CROSS JOIN aclexplode(a.attacl) r
		  WHERE c.oid = $1
		), touched AS (
		  SELECT grantee, privilege_type FROM given WHERE attnum = 0 OR attname = ANY($2)
		)
		SELECT grantee, coalesce(pg_get_userbyid(nullif(grantee, 0)), ''), privilege_type, attnum, attname, is_grantable,
		       CASE WHEN grantor <> relowner THEN pg_get_userbyid(grantor)::text ELSE '' END
		FROM given
		WHERE privilege_type IN ('SELECT', 'INSERT', 'UPDATE') AND grantee <> relowner
		  AND ((grantee, privilege_type) IN (SELECT * FROM touched) OR (grantor, privilege_type) IN (SELECT * FROM touched WHERE grantee <> relowner))
		ORDER BY attnum, 2, privilege_type`, table.OID, p.Brownout.Columns)
	if err != nil {
		return nil, fmt.Errorf("read rights: %w", err)
	}
	var rights []catalog.Right
	var r catalog.Right
	var by string
	var odd []string
	if _, err := pgx.ForEachRow(rows, []any{&r.Grantee, &r.Role, &r.Privilege, &r.Number, &r.Column, &r.Grantable, &by}, func() error {
		if by != "" {
			odd = append(odd, fmt.Sprintf("%s to %s by %s", r.Privilege, cmp.Or(r.Role, "everybody"), by))
		}
		rights = append(rights, r)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read rights: %w", err)
	}
	if len(odd) > 0 {
		return nil, fault.Newf(fault.Conflict, "begin brownout", object(p), "let the table's owner give them instead, or roll the migration back",
			"rights on the table were given by others than its owner, and could not be given back as they are: "+strings.Join(odd[:min(len(odd), namedAtMost)], ", "))
	}
	return rights, nil
}

func revoke(table postgres.Relation, r catalog.Right) string {
	return fmt.Sprintf("REVOKE %s ON %s FROM %s", privilege(r), table.Name, grantee(r))
}

func grant(table postgres.Relation, r catalog.Right) string {
	text := fmt.Sprintf("GRANT %s ON %s TO %s", privilege(r), table.Name, grantee(r))
	if r.Grantable {
		text += " WITH GRANT OPTION"
	}
	return text
}

func privilege(r catalog.Right) string {
	if r.Number == 0 {
		return r.Privilege
	}
	return r.Privilege + " (" + postgres.Ident(r.Column) + ")"
}

func grantee(r catalog.Right) string {
	if r.Grantee == 0 {
		return "PUBLIC"
	}
	return postgres.Ident(r.Role)
}

// run runs statements, if there are any.
func run(ctx context.Context, tx pgx.Tx, statements []string) error {
	if len(statements) == 0 {
		return nil
	}
	_, err := tx.Conn().PgConn().Exec(ctx, strings.Join(statements, ";\n")).ReadAll()
	return err
}
