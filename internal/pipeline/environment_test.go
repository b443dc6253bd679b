package pipeline_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/cutover"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/pipeline"
)

func TestDefaultPolicyAsksOnePerson(t *testing.T) {
	t.Parallel()
	p, err := pipeline.DefaultPolicy("prod")
	require.NoError(t, err)
	require.Equal(t, pipeline.Policy{
		Environment: "prod",
		Approval:    gate.Approval{Required: true},
		Connections: map[string]pipeline.Connection{"warehouse": {URL: "${env:DRAWBRIDGE_WAREHOUSE}"}},
		Publish: pipeline.Publish{
			LockBudget: 30 * time.Second, SnapshotWait: 10 * time.Minute, OnSnapshotTimeout: pipeline.TimeoutAsk, Lanes: 2,
			Cutover: cutover.One, MaxPause: 500 * time.Millisecond,
		},
		KeepRetired: 7 * 24 * time.Hour,
		Compensate:  pipeline.CompensateFailed,
		Backfill:    pipeline.BackfillPolicy{MaxFailures: 10},
	}, p)
}

func TestParsePolicyRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, content, want string }{
		"a quorum beyond the approvers":       {"policy.prod.yaml", "approval: {approvers: [ann], quorum: 2}", "the quorum is 2 of 1 approvers"},
		"an approver counted twice":           {"policy.prod.yaml", "approval: {approvers: [ann, ann]}", "approvers names ann twice"},
		"rules for an approval nobody gives":  {"policy.prod.yaml", "approval: {required: false, quorum: 2}", "policy.prod.yaml:1:29: approval.quorum: nobody is asked"},
		"an environment that requires itself": {"policy.prod.yaml", "requires: [staging, prod]", "requires[1]: an environment cannot require itself"},
		"prefixes of secrets":                 {"policy.prod.yaml", "secrets: {env: [X_]}", "unknown key"},
		"a password written out":              {"policy.prod.yaml", "connections: {main: {url: 'postgres://u:hunter2@h/d'}}", "connections.main.url: the password is written out"},
		"a secret that is no reference":       {"policy.prod.yaml", "connections: {main: {url: 'postgres://u@h/d', password: hunter2}}", "must be a reference such as"},
		"a connection that is no URL":         {"policy.prod.yaml", "connections: {main: {url: db.internal}}", "must be a URL such as"},
		"a connection without a name":         {"policy.prod.yaml", "connections: {Main: {url: 'postgres://u@h/d'}}", "connections.Main: the name of a connection must be"},
		"no connection":                       {"policy.prod.yaml", "connections: {}", "must not be empty"},
		"a schema of the server":              {"policy.prod.yaml", "connections: {main: {url: 'postgres://u@h/d', schemas: {write: [pg_catalog]}}}", "pg_catalog is the server's own"},
		"a relative root":                     {"policy.prod.yaml", "sources: {roots: [files]}", "must be an absolute path"},
		"no window":                           {"policy.prod.yaml", "throttle: {windows: [\"at night\"]}", "write it like mon-fri"},
		"a window of nowhere":                 {"policy.prod.yaml", "throttle: {windows: [\"22:00-06:00 Mars/Base\"]}", "Mars/Base is not known"},
		"a freeze window":                     {"policy.prod.yaml", "freeze: []", "not supported yet: freeze"},
		"more failures than can be listed":    {"policy.prod.yaml", "backfill: {max_failures: 101}", "at most 100 failures can be listed"},
		"limits":                              {"policy.prod.yaml", "limits: {}", "not supported yet: limits"},
		"connections as a list":               {"policy.prod.yaml", "connections: []", "connections: must be a mapping"},
		"commands":                            {"policy.prod.yaml", "commands: true", "not supported yet: commands"},
		"a word for a truth":                  {"policy.prod.yaml", "approval: {four_eyes: yes}", "must be true or false"},
		"an unknown word":                     {"policy.prod.yaml", "publish: {on_snapshot_timeout: go}", `must be ask or proceed, not "go"`},
		"a file of no environment":            {"policy.yaml", "{}", "policy.yaml: the file name does not name an environment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pipeline.ParsePolicy(tc.file, []byte(tc.content))
			require.ErrorContains(t, err, tc.want)
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
		})
	}
}

func TestParseConfigTakesTheEnvironmentFromTheName(t *testing.T) {
	t.Parallel()
	c, err := pipeline.ParseConfig("/etc/drawbridge/config.prod.yaml", []byte("warehouse: reporting\nwarehouse_schema: shop\nwatch: {for: 2d, on_breach: ask}\nsmoke: {max_runtime: 1m}\n"))
	require.NoError(t, err)
	require.Equal(t, pipeline.Config{
		Environment: "prod", Warehouse: "reporting", WarehouseSchema: "shop", WriteMode: "replace", SourceFiles: ".",
		Smoke: &pipeline.Smoke{MaxRuntime: time.Minute},
		Watch: &pipeline.WatchOverride{For: new(48 * time.Hour), OnBreach: new(pipeline.BreachAsk)},
	}, c)
}

func TestAnEnvironmentMayTurnTheWatchOff(t *testing.T) {
	t.Parallel()
	p, err := pipeline.Parse(edited(t, "config.dev.yaml", "warehouse_schema", "watch: {for: 0s}\nwarehouse_schema"), "config.dev.yaml")
	require.NoError(t, err)
	require.Equal(t, &pipeline.WatchOverride{For: new(time.Duration(0))}, p.Config.Watch)
}
