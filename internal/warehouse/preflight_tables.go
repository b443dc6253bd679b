package warehouse

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/plan"
)

// tableRule finds things that hang on an output's parent and that a swap would break or bypass.
type tableRule struct {
	name   string
	tells  bool   // it blocks nothing
	sql    string // selects object and detail of the parents $1
	text   string // of the problem; "{}" is the detail
	remedy string // "{}" is the detail
}

func tableRules() []tableRule {
	return []tableRule{
		{
			name: "incoming-foreign-key",
			sql: `SELECT confrelid::regclass::text, format('%I of %s', conname, conrelid::regclass)
			      FROM pg_constraint
			      WHERE contype = 'f' AND confrelid = ANY($1) AND conparentid = 0`,
			text:   "foreign key {} refers to it, and detaching a partition that is referred to is refused by the server",
			remedy: "drop foreign key {}, or check the reference by an audit",
		},
		{
			name: "foreign-key",
			sql: `SELECT conrelid::regclass::text, conname
			      FROM pg_constraint
			      WHERE contype = 'f' AND conrelid = ANY($1) AND conparentid = 0`,
			text:   "foreign key {} is on the table as a whole: a swap would compare its rows with another table's while readers wait",
			remedy: "drop foreign key {}, and check the reference by an audit",
		},
		{
			name: "publication",
			sql: `SELECT r.prrelid::regclass::text, p.pubname
			      FROM pg_publication_rel r
			      JOIN pg_publication p ON p.oid = r.prpubid
			      WHERE r.prrelid = ANY($1)
			      UNION ALL
			      SELECT c.oid::regclass::text, p.pubname
			      FROM pg_publication p
			      CROSS JOIN pg_class c
			      WHERE p.puballtables AND c.oid = ANY($1)`,
			text:   "publication {} sends it to subscribers, and a swap sends them nothing",
			remedy: "take the table out of publication {}",
		},
		{
			name: "trigger",
			sql: `SELECT tgrelid::regclass::text, tgname
			      FROM pg_trigger
			      WHERE tgrelid = ANY($1) AND NOT tgisinternal`,
			text:   "trigger {} does not fire on a swap",
			remedy: "drop trigger {}, and do its work in the pipeline",
		},
		{
			name: "rewrite-rule",
			sql: `SELECT ev_class::regclass::text, rulename
			      FROM pg_rewrite
			      WHERE ev_class = ANY($1)`,
			text:   "rule {} does not apply to a swap",
			remedy: "drop rule {}",
		},
		{
			name: "parent-index",
			sql: `SELECT i.indrelid::regclass::text, coalesce('constraint ' || quote_ident(k.conname), 'index ' || i.indexrelid::regclass::text)
			      FROM pg_index i
			      LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
			      WHERE i.indrelid = ANY($1)`,
			text:   "{} is on the table as a whole, and the pipeline does not have it: every publish would have to build it besides",
			remedy: "drop {}, and declare it under key: or indexes: of the output, which builds it before the swap",
		},
		{
			name: "chunk-index", tells: true,
			sql: `SELECT up.inhparent::regclass::text, coalesce('constraint ' || quote_ident(k.conname), 'index ' || i.indexrelid::regclass::text) || ' of ' || c.oid::regclass::text
			      FROM pg_inherits up
			      JOIN pg_class c ON c.oid = up.inhrelid AND c.relkind = 'p'
			      JOIN pg_index i ON i.indrelid = c.oid
			      LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
			      WHERE up.inhparent = ANY($1) AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = i.indexrelid)`,
			text:   "{} is on some partitions alone: a publish builds it while readers wait, or, where all of them change, leaves it behind",
			remedy: "drop {}, and declare it under key: or indexes: of the output, which builds it before the swap",
		},
		{
			name: "parent-check",
			sql: `SELECT conrelid::regclass::text, conname
			      FROM pg_constraint
			      WHERE contype = 'c' AND conrelid = ANY($1)`,
			text:   "constraint {} is on the table as a whole: rows that break it are found when they are to be published only",
			remedy: "drop constraint {}, and declare it as a check of the output",
		},
	}
}

func (r tableRule) find(ctx context.Context, in inspection) ([]plan.Problem, error) {
	rows, err := in.w.pool.Query(ctx, r.sql+" ORDER BY 1, 2", in.parents)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p plan.Problem, err error) {
		var detail string
		err = row.Scan(&p.Object, &detail)
		p.Rule, p.Blocking = r.name, !r.tells
		p.Text = strings.ReplaceAll(r.text, "{}", detail)
		p.Remedy = strings.ReplaceAll(r.remedy, "{}", detail)
		return p, err
	})
}
