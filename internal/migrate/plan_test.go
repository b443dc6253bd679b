package migrate_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/effect"
	"drawbridge/internal/migrate"
	"drawbridge/internal/sqltext"
)

// script is a plan as the golden files have it.
func script(p migrate.Plan) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for _, s := range p.Steps {
		say("-- %s: %s\n-- phase %s, class %s, lock %s", s.ID, s.Title, s.Phase, s.Class, s.Lock)
		if len(s.Also) > 0 {
			say("-- also %s", strings.Join(s.Also, ", "))
		}
		if s.Risk != "" {
			say("-- risk: %s", s.Risk)
		}
		say("%s;", strings.Join(s.Act, ";\n"))
		say("-- probe\n%s;", s.Probe)
		if s.Gone != "" {
			say("-- gone\n%s;", s.Gone)
		}
		for _, id := range s.Needs {
			say("-- needs %s", id)
		}
		for _, proof := range s.Proofs {
			say("-- proof: %s\n-- broken %s%s", proof.Name, proof.Broken, given(proof))
		}
		if s.Half != "" {
			say("-- half\n%s;\n-- clean\n%s;", s.Half, strings.Join(s.Clean, ";\n"))
		}
		if len(s.Undo) > 0 {
			say("-- undo\n%s;", strings.Join(s.Undo, ";\n"))
		}
		say("")
	}
	if p.Filling != nil {
		for _, a := range p.Filling.Set {
			say("-- fill %s, keep %t\n%s", a.Column, a.Keep, a.Expression)
		}
		say("-- by %v", p.Filling.Key)
	}
	for _, proof := range p.Proofs {
		say("-- proof: %s; broken where\n%s%s", proof.Name, proof.Broken, given(proof))
	}
	say("-- old %v", p.Old)
	for _, w := range p.Warnings {
		say("-- warning: %s", w)
	}
	return b.String()
}

// given is what a proof wants given.
func given(proof migrate.Proof) string {
	if len(proof.Given) == 0 {
		return ""
	}
	return "\n-- of generations that give " + strings.Join(proof.Given, ", ")
}

func computed(t *testing.T, m migrate.Migration) migrate.Plan {
	t.Helper()
	p, err := migrate.Compute(input(m))
	require.NoError(t, err)
	return p
}

func TestEveryOperationHasItsRecipe(t *testing.T) {
	t.Parallel()
	planned := map[migrate.Kind]bool{}
	for name, m := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name+".golden", script(computed(t, m)))
		})
		for _, o := range m.Operations {
			planned[o.Kind] = true
		}
	}
	for _, r := range migrate.Recipes() {
		require.True(t, planned[r.Kind], "%s is in no case, so neither planned nor done by a test", r.Kind)
	}
	require.Len(t, migrate.Recipes(), len(planned))
}

// laden is a migration of columns with all that is carried over to others.
func laden() migrate.Input {
	m := migration(
		migrate.Operation{Kind: migrate.ChangeType, Column: "qty", To: "bigint", Up: "qty", Down: "qty::int"},
		migrate.Operation{Kind: migrate.RenameColumn, Column: "note", To: "remark"},
	)
	in := input(m)
	few, none := 7, 0
	for i := range in.Table.Columns {
		switch c := &in.Table.Columns[i]; c.Name {
		case "qty":
			c.Target, c.Options = &few, []string{"n_distinct=-0.5"}
			c.Sequences = []migrate.Sequence{{Schema: "other", Name: "numbers"}}
		case "note":
			c.Storage, c.Compression, c.Target = "EXTERNAL", "lz4", &none
			c.Grants = []migrate.Grant{{Privilege: "SELECT"}, {Privilege: "UPDATE", To: "bi reader", Grantable: true}}
		}
	}
	in.Table.Indexes = append(in.Table.Indexes,
		migrate.Index{
			Name: "customers_qty", Columns: []string{"qty", "note"}, Unique: true, Valid: true, Tablespace: "fast", Comment: "it's quick",
			Carried: &migrate.Carried{
				Until: "USING btree (qty__new DESC NULLS LAST, remark text_pattern_ops) INCLUDE (id) WHERE (qty__new > 0)",
				After: "USING btree (qty DESC NULLS LAST, remark text_pattern_ops) INCLUDE (id) WHERE (qty > 0)", Where: "(qty__new > 0)",
			},
		})
	in.Table.Indexes = append(in.Table.Indexes, migrate.Index{
		Name: "customers_once", Columns: []string{"qty", "id"}, Unique: true, Constraint: true, Valid: true, Replica: true,
		Carried: &migrate.Carried{Until: "USING btree (qty__new, id)", After: "USING btree (qty, id)"},
	})
	in.Table.Uniques = append(in.Table.Uniques, migrate.Unique{Name: "customers_once", Columns: []string{"qty", "id"}, Comment: "once's enough"})
	in.Table.ForeignKeys = append(in.Table.ForeignKeys,
		migrate.ForeignKey{Name: "customers_region", Columns: []string{"qty", "note"}, Schema: "shop", Table: "regions", Key: []string{"id", "code"}, Owned: true, OnDelete: "cascade", Match: "full", Valid: true, Comment: "it's theirs"},
		migrate.ForeignKey{Name: "customers_before", Columns: []string{"note"}, Schema: "shop", Table: "regions", Key: []string{"id"}, Owned: true, Deferrable: "immediate"},
	)
	in.Table.References["customers_region"], in.Table.References["customers_before"] = migrate.Reference{Table: regions(in.Table)}, migrate.Reference{Table: regions(in.Table)}
	in.Table.Checks = append(in.Table.Checks,
		migrate.Constraint{Name: "noted", Columns: []string{"note"}, NoInherit: true, Carried: &migrate.Carried{Until: "(remark <> ''::text)", After: "(remark <> ''::text)"}},
		migrate.Constraint{Name: "qty_small", Columns: []string{"qty"}, Valid: true, Comment: "it's little", Carried: &migrate.Carried{Until: "(qty__new < 1000)", After: "(qty < 1000)"}},
	)
	in.Table.Statistics = []migrate.Statistics{{
		Schema: "shop", Name: "customers_both", Columns: []string{"note", "qty"}, Target: &few, Owner: "bi reader", Comment: "it's both",
		Carried: &migrate.Carried{Until: " (mcv) ON qty__new, remark", After: " (mcv) ON qty, remark"},
	}}
	return in
}

func TestWhatIsOverAReplacedColumnIsCarried(t *testing.T) {
	t.Parallel()
	p, err := migrate.Compute(laden())
	require.NoError(t, err)
	golden(t, "laden.golden", script(p))
}

func TestWhatTheSameFileTakesAwayIsNotCarried(t *testing.T) {
	t.Parallel()
	p := computed(t, migration(
		migrate.Operation{Kind: migrate.RenameColumn, Column: "created", To: "made"},
		migrate.Operation{Kind: migrate.DropIndex, Name: "customers_created"},
		migrate.Operation{Kind: migrate.DropCheck, Name: "created_late"},
	))
	require.NotContains(t, script(p), "customers_created__new")
	require.NotContains(t, script(p), "created_late__new")
}

func TestTheRegistryNamesTheStrongestLockOfAnOperation(t *testing.T) {
	t.Parallel()
	weakest := []migrate.Lock{migrate.NoLock, migrate.AccessShare, migrate.RowExclusive, migrate.ShareUpdateExclusive, migrate.ShareRowExclusive, migrate.AccessExclusive}
	strongest := map[migrate.Kind]int{}
	for _, m := range cases() {
		if len(m.Operations) > 1 {
			continue
		}
		for _, s := range computed(t, m).Steps {
			kind := m.Operations[0].Kind
			strongest[kind] = max(strongest[kind], slices.Index(weakest, s.Lock))
		}
	}
	for _, r := range migrate.Recipes() {
		require.Equal(t, r.Lock, weakest[strongest[r.Kind]], r.Kind)
	}
}

// hostile is a name that is much SQL and little name.
const hostile = "a\"; DROP TABLE pwned CASCADE; --\n'ü$body$ */"

// hostileCases name everything that can be named as hostile does.
func hostileCases() []migrate.Input {
	other := hostile[:24] + "2"
	table := func(m migrate.Migration) migrate.Input {
		m.Table = hostile
		in := input(m)
		in.Table.Schema, in.Table.Name = "schema'"+hostile[:20], hostile
		for i := range in.Table.Columns {
			if in.Table.Columns[i].Name == "note" {
				in.Table.Columns[i].Name, in.Table.Columns[i].Comment = hostile, hostile+`\`
				in.Table.Columns[i].Grants, in.Table.Columns[i].Options = []migrate.Grant{{Privilege: "SELECT", To: hostile}}, []string{hostile + "=" + hostile}
			}
		}
		quoted := `("` + strings.ReplaceAll(hostile, `"`, `""`) + `" <> '')`
		carried := func(text string) *migrate.Carried { return &migrate.Carried{Until: text, After: text + " "} }
		in.Table.Indexes = append(in.Table.Indexes, migrate.Index{
			Name: hostile, Columns: []string{hostile}, Tablespace: hostile, Comment: hostile, Valid: true, Carried: carried("USING btree (" + quoted + ")"),
		})
		in.Table.Checks = append(in.Table.Checks, migrate.Constraint{Name: hostile + "k", Columns: []string{hostile}, Comment: hostile, Valid: true, Carried: carried(quoted)})
		in.Table.Statistics = append(in.Table.Statistics, migrate.Statistics{
			Schema: hostile, Name: hostile + "s", Columns: []string{hostile}, Owner: hostile, Comment: hostile, Carried: carried(" ON id, " + quoted),
		})
		if !has(m, migrate.AddPrimaryKey) {
			in.Table.Uniques = append(in.Table.Uniques, migrate.Unique{Name: hostile + "u", Columns: []string{hostile}, Comment: hostile})
		}
		away := migrate.Table{
			Name: hostile + "2", Kind: "table", Owned: true, Columns: []migrate.Column{{Name: hostile}}, Indexes: []migrate.Index{{Keys: []string{hostile}, Distinct: true}},
		}
		in.Table.Indexes = append(in.Table.Indexes, away.Indexes...)
		in.Table.ForeignKeys = append(in.Table.ForeignKeys, migrate.ForeignKey{
			Name: hostile + "f", Columns: []string{hostile}, Schema: in.Table.Schema, Table: away.Name, Key: []string{hostile}, Owned: true, Valid: true, Comment: hostile,
		})
		in.Table.References = map[string]migrate.Reference{other: {Table: away}, hostile + "f": {Table: away, Collations: []string{`"C"`}}}
		in.Table.Enums = map[string]migrate.Enum{hostile: {Found: true, Owned: true, Values: []string{hostile}, Columns: []string{hostile}, Others: []string{hostile}}}
		for key, e := range in.Table.Expressions {
			e.Text = hostile
			if m.Operations[0].Up != "" || m.Operations[0].Check != "" {
				e.Columns = []string{hostile}
			}
			in.Table.Expressions[key] = e
		}
		return in
	}
	var all []migrate.Input
	for _, o := range []migrate.Operation{
		{Kind: migrate.AddForeignKey, Name: other, Columns: []string{hostile}, References: hostile, Key: []string{hostile}},
		{Kind: migrate.AddUnique, Name: other, Columns: []string{hostile, "id"}},
		{Kind: migrate.AddPrimaryKey, Name: other, Columns: []string{hostile}},
		{Kind: migrate.DropUnique, Name: hostile + "u"},
		{Kind: migrate.DropForeignKey, Name: hostile + "f"},
		{Kind: migrate.AddEnumValue, Type: hostile, Value: other, Before: hostile},
		{Kind: migrate.AddColumn, Column: other, Type: "text", Required: true, Up: "'x' || \"a\"\"; --\""},
		{Kind: migrate.RenameColumn, Column: hostile, To: other},
		{Kind: migrate.ChangeType, Column: hostile, To: "bigint", Up: "1", Down: "2"},
		{Kind: migrate.DropColumn, Column: hostile},
		{Kind: migrate.SetNotNull, Column: hostile, Up: "';'"},
		{Kind: migrate.SetDefault, Column: hostile, Default: "E'\\';'"},
		{Kind: migrate.AddCheck, Name: other, Check: "true -- )"},
		{Kind: migrate.CreateIndex, Name: other, Columns: []string{`"` + strings.ReplaceAll(hostile, `"`, `""`) + `" DESC`}, Where: "true /* ; */"},
		{Kind: migrate.SetComment, Column: hostile, Comment: hostile + "';"},
		{Kind: migrate.CreateView, Name: other, Columns: []string{"id", `"` + strings.ReplaceAll(hostile, `"`, `""`) + `" AS "b""; --"`}, Where: "true /* ; */"},
		{Kind: migrate.RenameTable, To: other},
		{Kind: migrate.DropTable},
		{Kind: migrate.SQL, Name: other, Act: []string{"COMMENT ON TABLE @table IS '; @table'"}, Undo: []string{"COMMENT ON TABLE @table IS NULL"}, Probe: "SELECT obj_description(@table_oid, 'pg_class') = '; @table'"},
	} {
		all = append(all, table(migration(o)))
	}
	return all
}

// statementsOf are all statements of a plan, and the bodies of its functions.
func statementsOf(p migrate.Plan) []string {
	var all []string
	for _, s := range p.Steps {
		for _, sql := range slices.Concat(s.Act, s.Undo, s.Clean, []string{s.Probe, s.Half}) {
			if sql == "" {
				continue
			}
			all = append(all, sql)
		}
	}
	return all
}

func TestPlansAreOfOneForm(t *testing.T) {
	t.Parallel()
	var plans []migrate.Plan
	for _, name := range slices.Sorted(maps.Keys(cases())) {
		plans = append(plans, computed(t, cases()[name]))
	}
	for _, in := range hostileCases() {
		p, err := migrate.Compute(in)
		require.NoError(t, err)
		plans = append(plans, p)
	}
	for _, p := range plans {
		ids := map[string]bool{}
		phase := 0
		for _, s := range p.Steps {
			require.False(t, ids[s.ID], "%s is twice", s.ID)
			ids[s.ID] = true
			require.Regexp(t, `^[a-z0-9_-]+$`, s.ID)
			at := slices.Index(migrate.Phases(), s.Phase)
			require.GreaterOrEqual(t, at, phase, "%s comes after its phase", s.ID)
			phase = at
			require.NotEmpty(t, s.Probe)
			require.NotEmpty(t, s.Act)
			require.Equal(t, s.Phase == migrate.Contract, len(s.Undo) == 0, "%s", s.ID)
			require.Equal(t, s.Half != "", len(s.Clean) > 0)
			if s.Class == migrate.Concurrent {
				require.Len(t, s.Act, 1)
				require.LessOrEqual(t, len(s.Undo), 1)
			}
		}
		for _, sql := range statementsOf(p) {
			oneStatement(t, sql)
		}
		for _, proof := range p.Proofs {
			oneStatement(t, "SELECT 1 WHERE "+proof.Broken)
		}
	}
}

// oneStatement holds SQL to be one statement whose names and texts stay inside of their quotes: read with them, nothing in it ends a
// statement, drops more than it names, or goes on after its end.
func oneStatement(t *testing.T, sql string) {
	t.Helper()
	tokens, err := sqltext.Scan(sql)
	require.NoError(t, err, sql)
	depth := 0
	for i, token := range tokens {
		require.False(t, token.Kind == sqltext.Punctuation && token.Text == ";", sql)
		action := i > 1 && tokens[i-2].Text == "on" && (tokens[i-1].Text == "delete" || tokens[i-1].Text == "update") // of a foreign key
		if token.Kind == sqltext.Word && !action {
			require.NotContains(t, []string{"cascade", "pwned"}, token.Text, sql)
		}
		switch {
		case token.Kind != sqltext.Punctuation:
		case token.Text == "(":
			depth++
		case token.Text == ")":
			depth--
		}
		require.GreaterOrEqual(t, depth, 0, sql)
	}
	require.Zero(t, depth, sql)
}

func TestWhatAMigrationDecidesIsInItsDigest(t *testing.T) {
	t.Parallel()
	one := computed(t, cases()["rename_column"])
	m := cases()["rename_column"]
	m.Why = "Otherwise."
	require.NotEqual(t, migrate.Digest(one), migrate.Digest(computed(t, m)))
	in := input(cases()["rename_column"])
	in.Table.Rows, in.Table.Bytes = 7, 7
	p, err := migrate.Compute(in)
	require.NoError(t, err)
	require.Equal(t, migrate.Digest(one), migrate.Digest(p), "how large the table is decides nothing")
}

func TestAPlanIsShown(t *testing.T) {
	t.Parallel()
	in := input(rich())
	in.Table.Readers = []migrate.Reader{
		{Column: "amount", Kind: "view", Name: "revenue`", Owner: "bi_reader"},
		{Column: "qty", Kind: "function", Name: "stock", Owner: "shop", Guessed: true},
		{Column: "note", Kind: "view", Name: "notes", Owner: "shop"},
	}
	p, err := migrate.Compute(in)
	require.NoError(t, err)
	require.Equal(t, in.Table.Readers[:1], p.Blocking)
	golden(t, "rich.md", migrate.Markdown(p, migrate.Measure(p, in.Table)))
	golden(t, "rich.txt", migrate.Text(p, migrate.Measure(p, in.Table)))
}

func TestWhatAuthorsWriteIsNoMarkupAndNoTerminal(t *testing.T) {
	t.Parallel()
	m := rich()
	m.Why = "a <script>\x1b[31m\n# heading\n|cell| [x](y) `code`"
	m.Consumers[0].Contact = "```\n# b"
	for _, in := range append(hostileCases(), input(m)) {
		p, err := migrate.Compute(in)
		require.NoError(t, err)
		text := migrate.Text(p, migrate.Measure(p, in.Table))
		require.NotContains(t, text, "\x1b")
		outside := ""
		fence := ""
		for line := range strings.Lines(migrate.Markdown(p, migrate.Measure(p, in.Table))) {
			if mark := strings.TrimRight(line, "sql\n"); strings.HasPrefix(line, "```") && (fence == "" || mark == fence) {
				if fence == "" {
					fence = mark
				} else {
					fence = ""
				}
				continue
			}
			if fence == "" {
				outside += line
			}
		}
		require.Empty(t, fence, "every block ends")
		require.NotContains(t, outside, "<script")
		require.NotRegexp(t, `[^\\]\[x\]`, outside)
		require.NotContains(t, outside, "\n# heading")
	}
}

func TestAConsumerIsToldWhatChangesForIt(t *testing.T) {
	t.Parallel()
	p := computed(t, rich())
	begun := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(change func(*migrate.Standing)) migrate.Standing {
		s := migrate.Standing{Owner: effect.OwnerOf("migrate/shop/prod/0007_rich", "run"), Since: begun, Phase: migrate.Backfill, PhaseSince: begun, By: "ann"}
		change(&s)
		return s
	}
	const ack = "drawbridge migrate ack migrate/shop/prod/0007_rich --consumer bi --as NAME --reason TEXT"
	for name, tc := range map[string]struct {
		at        migrate.Standing
		says, not []string
	}{
		"before it begins": {migrate.Standing{}, []string{
			"bi@example.com", "channel is new", "amount is called amount_eur", "kept for 7d", "10m", "acknowledged", "web goes at contract", `SELECT "amount_eur" FROM`,
		}, []string{"migrate ack", "who has begun it"}},
		"while it is prepared": {at(func(*migrate.Standing) {}), []string{
			"It has begun at 2026-03-01 12:00 UTC", "kept for 7d", ack, "ann, who has begun it",
			"Beside what is there is now: channel, ", "amount_eur", "Every write is kept in both shapes",
		}, []string{"counts since", "nothing has changed"}},
		"while what is new is added": {at(func(s *migrate.Standing) { s.Phase = migrate.Expand }), []string{"Added now beside what is there: channel, "}, []string{"both shapes. You"}},
		"when its window is over": {at(func(s *migrate.Standing) { s.Phase, s.PhaseSince = migrate.Deprecating, begun.Add(-6*24*time.Hour) }), []string{
			"was over at 2026-03-02 12:00 UTC", "people have approved it", ack,
		}, []string{"is kept until"}},
		"in its window": {at(func(s *migrate.Standing) { s.Phase, s.PhaseSince = migrate.Deprecating, begun.Add(24*time.Hour) }), []string{
			"counts since 2026-03-02 12:00 UTC", "kept until 2026-03-09 12:00 UTC", ack, "gets an error, and nothing brings it back",
		}, []string{"for 7d after the switch"}},
		"when it has said that it is ready": {at(func(s *migrate.Standing) {
			s.Phase, s.Acks = migrate.Deprecating, []migrate.Ack{{Consumer: "bi", By: "bob", At: begun}}
		}), []string{"bob said at 2026-03-01 12:00 UTC that you are ready"}, []string{"migrate ack", "before you have acknowledged"}},
		"when it was undone": {at(func(s *migrate.Standing) { s.Ended = migrate.RolledBack }), []string{"It was undone"}, []string{"migrate ack", "kept for"}},
		"when it is done":    {at(func(s *migrate.Standing) { s.Phase, s.Ended = migrate.Contract, migrate.Done }), []string{"It is done"}, []string{"migrate ack", "kept for"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notice := migrate.Notice(p, p.Migration.Consumers[0], tc.at, begun.Add(48*time.Hour))
			for _, words := range tc.says {
				require.Contains(t, notice, words)
			}
			for _, words := range tc.not {
				require.NotContains(t, notice, words)
			}
		})
	}
}

func TestTheTimeGrowsWithTheTable(t *testing.T) {
	t.Parallel()
	m := cases()["rename_column"]
	small, large := customers(m), customers(m)
	large.Rows, large.Bytes = small.Rows*10, small.Bytes*10
	p := computed(t, m)
	require.Greater(t, migrate.Measure(p, large).Took, 9*migrate.Measure(p, small).Took)
	require.Zero(t, migrate.Measure(computed(t, cases()["add_column"]), large).Took, "the catalog only")
	unknown := small
	unknown.Rows = -1
	require.Equal(t, int64(-1), migrate.Measure(p, unknown).Rows)
}

// Who writes by place is warned wherever a column goes that has others after it.
func TestAPlanWarnsOfColumnsThatChangeTheirPlaces(t *testing.T) {
	t.Parallel()
	const warning = "the columns have other places"
	for name, warned := range map[string]bool{"note": true, "created": false} {
		p, err := migrate.Compute(input(migration(migrate.Operation{Kind: migrate.DropColumn, Column: name})))
		require.NoError(t, err)
		require.Equal(t, warned, strings.Contains(strings.Join(p.Warnings, "\n"), warning), name)
	}
}

func TestWhoReadsATableThatGoesIsNamedInItsPlan(t *testing.T) {
	t.Parallel()
	in := input(cases()["drop_table"])
	in.Table.Readers = []migrate.Reader{
		{Column: "note", Kind: "view", Name: "shop.daily", Owner: "bi"},
		{Column: "code", Kind: "view", Name: "shop.daily", Owner: "bi"},
		{Column: "code", Kind: "trigger", Name: "own", Owner: "shop"},
		{Column: "code", Kind: "function", Name: "f()", Owner: "bi", Guessed: true},
		{Column: "note", Kind: "function", Name: "f()", Owner: "bi", Guessed: true},
	}
	p, err := migrate.Compute(in)
	require.NoError(t, err)
	require.Equal(t, []migrate.Reader{{Column: "customers", Kind: "view", Name: "shop.daily", Owner: "bi"}}, p.Blocking)
	require.Equal(t, 1, strings.Count(strings.Join(p.Warnings, "\n"), "The function"))
}
