package pipeline_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/cutover"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/notice"
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
		"a webhook that is no reference":      {"policy.prod.yaml", "notify: {receivers: {team: {webhook: 'https://hooks.example.com/T0'}}}", "webhook: must be a reference such as"},
		"a receiver that nothing reaches":     {"policy.prod.yaml", "notify: {receivers: {team: {severity: warning}}}", "nothing says how the receiver is told"},
		"a receiver with two ways":            {"policy.prod.yaml", "notify: {receivers: {team: {webhook: '${env:HOOK}', mail: {server: 'mail:25', from: a@b.c, to: [d@e.f]}}}}", "by a webhook or by mail"},
		"a receiver that nobody can be":       {"policy.prod.yaml", "notify: {receivers: {Team: {webhook: '${env:HOOK}'}}}", "the name of a receiver must be"},
		"nobody who is told":                  {"policy.prod.yaml", "notify: {receivers: {}}", "must not be empty"},
		"an event that never happens":         {"policy.prod.yaml", "notify: {receivers: {team: {webhook: '${env:HOOK}', kinds: [gate_open]}}}", "gate_opened"},
		"a password that anybody could read":  {"policy.prod.yaml", "notify: {receivers: {team: {mail: {server: 'mail:25', from: a@b.c, to: [d@e.f], user: u, password: '${env:P}', tls: none}}}}", "the password would be sent unencrypted"},
		"a user without a password":           {"policy.prod.yaml", "notify: {receivers: {team: {mail: {server: 'mail:25', from: a@b.c, to: [d@e.f], user: u}}}}", "a login has a user and a password"},
		"a mail server without a port":        {"policy.prod.yaml", "notify: {receivers: {team: {mail: {server: mail, from: a@b.c, to: [d@e.f]}}}}", "server: must be host:port"},
		"an address that is none":             {"policy.prod.yaml", "notify: {receivers: {team: {mail: {server: 'mail:25', from: nobody, to: [d@e.f]}}}}", "from: must be a mail address"},
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

func TestParsePolicyReadsWhoIsTold(t *testing.T) {
	t.Parallel()
	p, err := pipeline.ParsePolicy("policy.prod.yaml", []byte(`notify:
  receivers:
    team: {webhook: "${env:HOOK}", owners: [sales], kinds: [run_failed]}
    oncall: {mail: {server: "mail:587", from: a@b.c, to: [d@e.f, g@h.i]}, severity: critical}
  remind: 8h
`))
	require.NoError(t, err)
	require.Equal(t, pipeline.Notify{
		Receivers: map[string]pipeline.Receiver{
			"team": {Webhook: "${env:HOOK}", Filter: notice.Filter{Owners: []string{"sales"}, Kinds: []notice.Kind{notice.RunFailed}, Severity: notice.Info}},
			"oncall": {
				Mail:   &pipeline.Mail{Server: "mail:587", From: "a@b.c", To: []string{"d@e.f", "g@h.i"}, TLS: pipeline.StartTLS},
				Filter: notice.Filter{Severity: notice.Critical},
			},
		},
		Remind: 8 * time.Hour, Expiring: 4 * time.Hour,
	}, p.Notify)
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
