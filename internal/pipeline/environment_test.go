package pipeline_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
		Secrets:     pipeline.Secrets{Env: []string{"DRAWBRIDGE_SECRET_"}, Files: []string{"/run/secrets/"}},
		Publish: pipeline.Publish{
			LockBudget: 30 * time.Second, SnapshotWait: 10 * time.Minute, OnSnapshotTimeout: pipeline.TimeoutAsk, Lanes: 2,
		},
		KeepRetired: 7 * 24 * time.Hour,
	}, p)
}

func TestParsePolicyRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, content, want string }{
		"a quorum beyond the approvers":       {"policy.prod.yaml", "approval: {approvers: [ann], quorum: 2}", "the quorum is 2 of 1 approvers"},
		"an approver counted twice":           {"policy.prod.yaml", "approval: {approvers: [ann, ann]}", "approvers names ann twice"},
		"rules for an approval nobody gives":  {"policy.prod.yaml", "approval: {required: false, quorum: 2}", "policy.prod.yaml:1:29: approval.quorum: nobody is asked"},
		"an environment that requires itself": {"policy.prod.yaml", "requires: [staging, prod]", "requires[1]: an environment cannot require itself"},
		"an empty secret prefix":              {"policy.prod.yaml", "secrets: {env: ['']}", "secrets.env[0]: must be text that is not blank"},
		"a relative secret folder":            {"policy.prod.yaml", "secrets: {files: [secrets/]}", "must be an absolute path"},
		"a freeze window":                     {"policy.prod.yaml", "freeze: []", "not supported yet: freeze"},
		"limits":                              {"policy.prod.yaml", "limits: {}", "not supported yet: limits"},
		"connections":                         {"policy.prod.yaml", "connections: []", "not supported yet: connections"},
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
	c, err := pipeline.ParseConfig("/etc/drawbridge/config.prod.yaml", []byte("warehouse: ${env:DRAWBRIDGE_SECRET_URL}\nwarehouse_schema: shop\nwatch: {for: 2d, on_breach: ask}\nsmoke: {max_runtime: 1m}\n"))
	require.NoError(t, err)
	require.Equal(t, pipeline.Config{
		Environment: "prod", Warehouse: "${env:DRAWBRIDGE_SECRET_URL}", WarehouseSchema: "shop", WriteMode: "replace", SourceFiles: ".",
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
