package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/console"
	"drawbridge/internal/contract"
	"drawbridge/internal/lint"
	"drawbridge/internal/pipeline"
)

const (
	dropsTable = "SET lock_timeout = '2s'; SET statement_timeout = '10s'; DROP TABLE orders;"
	addsEnum   = "ALTER TYPE state ADD VALUE 'late';"
)

func TestLintMigrationFailsFromASeverityOn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql  string
		args []string
		code exit
	}{
		"an error":                      {dropsTable, nil, exitRefused},
		"an error where warnings count": {dropsTable, []string{"--severity", "warning"}, exitRefused},
		"a warning":                     {addsEnum, nil, exitDone},
		"a warning that counts":         {addsEnum, []string{"--severity", "warning"}, exitRefused},
		"nothing":                       {"SELECT 1;", []string{"--severity", "warning"}, exitDone},
		"what cannot be read":           {"SELEC 1; " + dropsTable, nil, exitInvalid},
		"a tool without a transaction":  {"CREATE INDEX CONCURRENTLY a ON b (c);", []string{"--no-transaction"}, exitDone},
		"a tool that runs one":          {"CREATE INDEX CONCURRENTLY a ON b (c);", nil, exitRefused},
		"more warnings than are listed": {strings.Repeat(addsEnum, 600), nil, exitDone},
		"an error that is not listed":   {strings.Repeat(addsEnum, 600) + dropsTable, nil, exitRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTerminal(t)
			x.write(t, "a.sql", tc.sql)
			require.Equal(t, int(tc.code), x.run(t, append([]string{"lint-migration", x.path("a.sql")}, tc.args...)...), x.out.String())
			require.Empty(t, x.errOut.String())
		})
	}
}

// What the screen says comes next is what the exit code says: nothing has to be mended where nothing fails.
func TestLintMigrationSaysWhatFollows(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql   string
		args  []string
		mends bool
		next  string
	}{
		"warnings":            {addsEnum, nil, false, " --severity warning"},
		"warnings that count": {addsEnum, []string{"--severity", "warning"}, true, "a.sql --severity warning"},
		"an error":            {dropsTable, nil, true, "a.sql"},
		"without":             {dropsTable, []string{"--no-transaction"}, true, "a.sql --no-transaction"},
		"what is not read":    {"SELEC 1;" + addsEnum, nil, true, "0 errors and 1 warning in 1 file; 1 place not read."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTerminal(t)
			x.write(t, "a.sql", tc.sql)
			code := x.run(t, append([]string{"lint-migration", x.path("a.sql")}, tc.args...)...)
			require.Equal(t, tc.mends, code != int(exitDone))
			require.Equal(t, tc.mends, strings.Contains(x.out.String(), "Next: mend it"), x.out.String())
			require.Contains(t, x.out.String(), tc.next)
		})
	}
}

func TestLintMigrationReadsFilesFoldersAndStdin(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.write(t, "m/0002.sql", dropsTable)
	x.write(t, "m/0001.sql", dropsTable)
	x.write(t, "m/notes.txt", dropsTable)
	x.write(t, "m/more/0003.sql", dropsTable)
	x.main.Stdin = strings.NewReader("\n" + dropsTable)
	require.Equal(t, int(exitRefused), x.run(t, "lint-migration", x.path("m"), "-", "--json"))
	var l console.Lint
	require.NoError(t, json.Unmarshal(x.out.Bytes(), &l))
	var files []string
	for _, f := range l.Findings {
		require.Equal(t, "ban-drop-table", f.Rule)
		files = append(files, f.File)
	}
	require.Equal(t, []string{x.path("m", "0001.sql"), x.path("m", "0002.sql"), "-"}, files)
	require.Equal(t, 2, l.Findings[2].Line)
	require.Equal(t, 3, l.Files)
	require.Equal(t, 3, l.Counts[lint.Error])

	require.Equal(t, int(exitRefused), x.run(t, "lint-migration", x.path("m", "0001.sql")))
	require.Contains(t, x.out.String(), "0001.sql:1:57 error ban-drop-table")
}

func TestLintMigrationSaysWhatToNameInstead(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.write(t, "empty/readme.md", "")
	for name, tc := range map[string]struct {
		args []string
		text string
	}{
		"no file":             {nil, "FILE is missing"},
		"one that is not":     {[]string{x.path("none.sql")}, "no such file"},
		"a folder without":    {[]string{x.path("empty")}, "no *.sql"},
		"half of a place":     {[]string{x.path("a.sql"), "--env", "prod"}, "--env and --pipeline say together"},
		"the other half":      {[]string{x.path("a.sql"), "--pipeline", "shop"}, "--env and --pipeline say together"},
		"an unknown severity": {[]string{x.path("a.sql"), "--severity", "note"}, "no such severity"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newTerminal(t)
			require.Equal(t, int(exitInvalid), y.run(t, append([]string{"lint-migration"}, tc.args...)...))
			require.Contains(t, y.errOut.String(), tc.text)
			require.Contains(t, y.errOut.String(), "\n→ ")
		})
	}
}

func TestLintMigrationListsItsRules(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	require.Zero(t, x.run(t, "lint-migration", "--rules"))
	require.Zero(t, x.run(t, "lint-migration", "--rules", "--json"))
	var all []lint.Rule
	require.NoError(t, json.Unmarshal(x.out.Bytes(), &all))
	require.Len(t, all, len(lint.Rules()))
}

// What an author wrote is looked at where it stands, as the server gets it, and fails nothing.
func TestValidateWarnsOfWhatIsOftenWrongInASELECT(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	dir := shop(t, x)
	require.Zero(t, x.run(t, "validate", dir, "--offline", "--json"))
	var r console.Report
	require.NoError(t, json.Unmarshal(x.out.Bytes(), &r))
	require.Empty(t, r.Warnings, "what init makes is clean")

	edit(t, dir+"/sql/fct_orders.sql", "       channel,", "       channel, now() AS built_at,")
	require.Zero(t, x.run(t, "validate", dir, "--offline", "--json"))
	require.NoError(t, json.Unmarshal(x.out.Bytes(), &r))
	require.Len(t, r.Warnings, 1)
	f := r.Warnings[0]
	require.Equal(t, [3]any{"sql/fct_orders.sql", 5, 17}, [3]any{f.File, f.Line, f.Column})
	require.Equal(t, "now-in-output", f.Rule)
	require.Zero(t, x.run(t, "validate", dir, "--offline"))
	require.Contains(t, x.out.String(), "! sql/fct_orders.sql:5:17: now-in-output: ")

	edit(t, dir+"/pipeline.yaml", "    sql: sql/fct_orders.sql\n", "    sql: sql/fct_orders.sql\n    lint: {now-in-output: it says when the row was built}\n")
	require.Zero(t, x.run(t, "validate", dir, "--offline"))
	require.NotContains(t, x.out.String(), "now-in-output")
	edit(t, dir+"/pipeline.yaml", "    lint: {now-in-output: it says when the row was built}\n", "    repeatable: {is: false, because: it says when the row was built}\n")
	require.Zero(t, x.run(t, "validate", dir, "--offline"))
	require.NotContains(t, x.out.String(), "now-in-output", "it has said so of itself")

	edit(t, dir+"/sql/fct_orders.sql", "now() AS", "now( AS")
	edit(t, dir+"/sql/fct_orders.sql", "built_at,", "built_at),")
	require.Zero(t, x.run(t, "validate", dir, "--offline"), "whether it is right is for the server to say")
	require.Contains(t, x.out.String(), "not checked: lint: sql/fct_orders.sql:5:22: syntax error")
}

// A folder and a release are looked at beside what the environment's worker says.
func TestValidateWarnsBesideWhatTheWorkerSays(t *testing.T) {
	t.Parallel()
	s := staffed("dev")
	s.result = func(_ context.Context, answer any) error {
		*answer.(*activities.ValidateResult) = activities.ValidateResult{Lines: []activities.Validation{{Subject: "fct_orders: SELECT", OK: true}}}
		return nil
	}
	x := newTerminal(t).with(s)
	dir := shop(t, x)
	edit(t, dir+"/sql/fct_orders.sql", "       channel,", "       channel, random() AS lot,")
	require.Zero(t, x.run(t, "build", dir), x.errOut.String())
	for _, what := range []string{dir, "shop@1.0.0"} {
		require.Zero(t, x.run(t, "validate", what, "--env", "dev", "--json"), x.errOut.String())
		var r console.Report
		require.NoError(t, json.Unmarshal(x.out.Bytes(), &r))
		require.Len(t, r.Lines, 1)
		require.Len(t, r.Warnings, 1)
		require.Equal(t, lint.NowInOutput, r.Warnings[0].Rule)
	}
}

func TestTheExamplesAreClean(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"../examples/shop", "../examples/demo/1.1.0", "../examples/demo/1.2.0", "../examples/demo/1.3.0", "../examples/required-column", "../examples/channels"} {
		x := newTerminal(t)
		x.run(t, "validate", dir, "--offline", "--json")
		var r console.Report
		require.NoError(t, json.Unmarshal(x.out.Bytes(), &r), dir)
		require.Empty(t, r.Warnings, dir)
	}
}

func TestWhatNothingHereChecksOfAContractIsSaid(t *testing.T) {
	t.Parallel()
	r := console.Report{Unchecked: []string{"before"}}
	uncheckedContracts([]pipeline.Output{{}, {Contract: &contract.Contract{Unchecked: []string{"contracts/orders.odcs.yaml: fct_orders: even (sql)"}}}}, &r)
	require.Equal(t, []string{"before", "contracts/orders.odcs.yaml: fct_orders: even (sql)"}, r.Unchecked)
}
