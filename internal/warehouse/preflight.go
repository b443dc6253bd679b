package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/postgres"
)

// oldestServer is the first major version with what sessions and swaps rely on.
const oldestServer = 14

// inspection is what preflight rules look at.
type inspection struct {
	w        *Warehouse
	pipeline *pipeline.Pipeline
	observed plan.Observed
	parents  []uint32 // of the outputs that are there
}

// rule finds one kind of problem. It only reads.
type rule func(ctx context.Context, in inspection) ([]plan.Problem, error)

// preflight runs every rule, in the order in which people read them.
func (w *Warehouse) preflight(ctx context.Context, p *pipeline.Pipeline, observed plan.Observed) ([]plan.Problem, error) {
	in := inspection{w: w, pipeline: p, observed: observed}
	for _, o := range p.Outputs {
		found, err := w.findParent(ctx, w.pool, o.Table)
		if err != nil {
			return nil, err
		}
		if found.OID != 0 {
			in.parents = append(in.parents, found.OID)
		}
	}
	rules := []rule{owners, givenUp, migrated, serverVersion, missingRights, authorRights, trustedAuthors, hiddenSessions, sharedRole, plainTables, keptOtherwise, lockTable, standbys}
	for _, r := range tableRules() {
		rules = append(rules, r.find)
	}
	var problems []plan.Problem
	for _, r := range rules {
		found, err := r(ctx, in)
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	return problems, nil
}

// givenUp names the tables that the pipeline has published and the release builds no more: their readers see no change, and
// get no new data.
func givenUp(ctx context.Context, in inspection) ([]plan.Problem, error) {
	version, err := in.w.ledger.Version(ctx, in.w.pool)
	if err != nil || version == 0 {
		return nil, err
	}
	outputs, err := in.w.ledger.OutputsOf(ctx, in.w.pool, in.pipeline.Name)
	if err != nil {
		return nil, err
	}
	var problems []plan.Problem
	for _, output := range outputs {
		if slices.ContainsFunc(in.pipeline.Outputs, func(o pipeline.Output) bool { return o.Table == output }) {
			continue
		}
		parent, err := in.w.findParent(ctx, in.w.pool, output)
		if err != nil {
			return nil, err
		}
		if parent.OID != 0 {
			problems = append(problems, plan.Problem{
				Rule: "output-given-up", Object: output, Text: "the release builds it no more: it stays as it is, and its readers get no new data",
				Remedy: "tell its readers, or keep it among the outputs",
			})
		}
	}
	return problems, nil
}

func serverVersion(ctx context.Context, in inspection) ([]plan.Problem, error) {
	var number int
	if err := in.w.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&number); err != nil {
		return nil, err
	}
	if number/10000 >= oldestServer {
		return nil, nil
	}
	return []plan.Problem{{
		Rule: "server-version", Object: in.w.names.schema, Blocking: true,
		Text:   fmt.Sprintf("the server is PostgreSQL %d, older than %d", number/10000, oldestServer),
		Remedy: "upgrade the server",
	}}, nil
}

// missingRights names what the worker's role lacks, with the statement that grants it.
func missingRights(ctx context.Context, in inspection) ([]plan.Problem, error) {
	rows, err := in.w.pool.Query(ctx, `
		SELECT 'schema ' || n.nspname AS object, r.privilege AS lacks,
		       format('GRANT %s ON SCHEMA %I TO %I', r.privilege, n.nspname, current_user) AS remedy
		FROM pg_namespace n
		CROSS JOIN (VALUES ('USAGE'), ('CREATE')) AS r (privilege)
		WHERE n.nspname = ANY($1) AND NOT has_schema_privilege(n.oid, r.privilege)
		UNION ALL
		SELECT 'database ' || current_database(), r.privilege, format('GRANT %s ON DATABASE %I TO %I', r.privilege, current_database(), current_user)
		FROM (VALUES ('TEMP'), ('CREATE')) AS r (privilege)
		WHERE NOT has_database_privilege(current_database(), r.privilege)
		  AND (r.privilege = 'TEMP' OR EXISTS (
		    SELECT FROM unnest($1::text[]) AS wanted (name) WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = wanted.name)))
		UNION ALL
		SELECT 'table ' || c.oid::regclass::text, 'OWNERSHIP', format('GRANT %I TO %I', pg_get_userbyid(c.relowner), current_user)
		FROM pg_class c
		WHERE c.oid = ANY($2) AND NOT pg_has_role(c.relowner, 'USAGE')
		ORDER BY object, lacks`, in.w.names.all(), in.parents)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p plan.Problem, err error) {
		var right string
		err = row.Scan(&p.Object, &right, &p.Remedy)
		p.Rule, p.Text, p.Blocking = "missing-right", "the role lacks "+right+" on "+p.Object, true
		return p, err
	})
}

func hiddenSessions(ctx context.Context, in inspection) ([]plan.Problem, error) {
	var sees bool
	var role string
	if err := in.w.pool.QueryRow(ctx, `SELECT pg_has_role('pg_read_all_stats', 'USAGE'), current_user::text`).Scan(&sees, &role); err != nil {
		return nil, err
	}
	if sees {
		return nil, nil
	}
	return []plan.Problem{{
		Rule: "hidden-sessions", Object: role,
		Text:   "the role cannot see other sessions' snapshots: a publish waits for every transaction that it cannot see",
		Remedy: "GRANT pg_read_all_stats TO " + postgres.Ident(role),
	}}, nil
}

// sharedRole finds other environments of this database whose ledger the same role owns: one of them could harm the other.
func sharedRole(ctx context.Context, in inspection) ([]plan.Problem, error) {
	var others []string
	if err := in.w.pool.QueryRow(ctx, `
		SELECT coalesce(array_agg(left(nspname, -length('__ledger'))::text ORDER BY nspname), '{}')
		FROM pg_namespace
		WHERE nspname LIKE '%\_\_ledger' AND nspname <> $1 AND nspowner = current_user::regrole`, in.w.names.ledger()).Scan(&others); err != nil {
		return nil, err
	}
	if len(others) == 0 {
		return nil, nil
	}
	return []plan.Problem{{
		Rule: "shared-role", Object: in.w.names.schema,
		Text:   "the same role owns other environments of this database: " + some(others),
		Remedy: "give each environment a role of its own: drawbridge setup --env ENV --print",
	}}, nil
}

func plainTables(_ context.Context, in inspection) ([]plan.Problem, error) {
	var problems []plan.Problem
	for _, o := range in.observed.Outputs {
		if o.Kind == generation.Plain {
			problems = append(problems, plan.Problem{
				Rule: "plain-table", Object: o.Table, Blocking: true,
				Text:   "a table or view of this name exists that Drawbridge does not manage",
				Remedy: plainTableHint(o.Table, in.w.names.schema, in.pipeline.Name+"@"+in.pipeline.Version, in.pipeline.Config.Environment),
			})
		}
	}
	return problems, nil
}

// lockTable refuses a grain so fine that one query over all partitions would need more than a quarter of the server's
// lock table.
func lockTable(_ context.Context, in inspection) ([]plan.Problem, error) {
	var problems []plan.Problem
	for i, o := range in.pipeline.Outputs {
		if i >= len(in.observed.Outputs) {
			break
		}
		locks := int64(len(in.observed.Outputs[i].Live) * (1 + o.IndexCount()))
		if locks > in.observed.LockSlots/4 {
			problems = append(problems, plan.Problem{
				Rule: "lock-table", Object: o.Table, Blocking: true,
				Text:   fmt.Sprintf("a query over all partitions takes %d locks, and the server has %d for everyone", locks, in.observed.LockSlots),
				Remedy: "use a coarser partition, or raise max_locks_per_transaction",
			})
		}
	}
	return problems, nil
}

// standbys are reported: a swap waits there for their readers, up to max_standby_streaming_delay. A publish waits for
// older snapshots of those only that feed their horizon back.
func standbys(ctx context.Context, in inspection) ([]plan.Problem, error) {
	var count, silent int
	if err := in.w.pool.QueryRow(ctx, `
		SELECT count(*), count(*) FILTER (WHERE a.backend_xmin IS NULL AND s.xmin IS NULL)
		FROM pg_stat_replication r
		JOIN pg_stat_activity a ON a.pid = r.pid AND a.datid IS NULL
		LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid AND s.slot_type = 'physical'`).Scan(&count, &silent); err != nil {
		return nil, err
	}
	if count == 0 {
		return nil, nil
	}
	text := fmt.Sprintf("%d replication connections: on a standby a swap waits for its readers, or cancels them", count)
	if silent > 0 {
		text += fmt.Sprintf("; %d tell nothing of their readers: one in REPEATABLE READ there may see a partition as empty", silent)
	}
	return []plan.Problem{{
		Rule: "standbys", Object: in.w.names.schema, Text: text,
		Remedy: "check max_standby_streaming_delay and hot_standby_feedback of the standbys",
	}}, nil
}

// someNames bounds a list in a sentence.
const someNames = 5

// some names the first of a list, and says how many more there are.
func some(names []string) string {
	if len(names) <= someNames {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:someNames], ", "), len(names)-someNames)
}

// owners refuses what belongs to somebody else: a schema to the environment that first wrote its ledger, an output to the
// pipeline that first published it.
func owners(ctx context.Context, in inspection) ([]plan.Problem, error) {
	version, err := in.w.ledger.Version(ctx, in.w.pool)
	if err != nil || version == 0 {
		return nil, err
	}
	var problems []plan.Problem
	environment, err := in.w.ledger.Environment(ctx, in.w.pool)
	if err != nil {
		return nil, err
	}
	if want := in.pipeline.Config.Environment; environment != "" && environment != want {
		problems = append(problems, plan.Problem{
			Rule: "owner", Object: in.w.names.schema, Blocking: true, Text: "the schema belongs to the environment " + environment,
			Remedy: "give config." + want + ".yaml a warehouse_schema of its own",
		})
	}
	var tables []string
	for _, o := range in.pipeline.Outputs {
		tables = append(tables, o.Table)
	}
	of, err := in.w.ledger.Owners(ctx, in.w.pool, tables)
	if err != nil {
		return nil, err
	}
	for _, table := range tables {
		if owner := of[table]; owner != "" && owner != in.pipeline.Name {
			problems = append(problems, plan.Problem{
				Rule: "owner", Object: table, Blocking: true, Text: "the table belongs to the pipeline " + owner,
				Remedy: "give the output another name, or another warehouse_schema",
			})
		}
	}
	return problems, nil
}
