package activities_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/backfill"
	"drawbridge/internal/effect"
	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// migrated is a warehouse in which a migration has begun.
type migrated struct {
	desk
	standing migrate.Standing
	said     []gate.Gate
	readers  []migrate.Reader
	traffic  migrate.Traffic
	active   []release.Tenure // of those who read the table when they were built
	done     []string
	undone   map[string]bool // IDs of steps
	ended    string
	begun    []string
	entered  []migrate.Phase
	unready  []string // what the table says against contract
	counted  int      // how often it was asked that
	held     string   // why nothing changes
	acks     []string
	unfree   []string               // what releases give still
	freed    bool                   // such as leave the old shape out are let in
	dropped  error                  // why a brownout cannot be ended
	housed   bool                   // the rest of the house was kept
	odd      []string               // why the rights on the table could not be given back
	dark     []migrate.BrownoutSpec // that were asked for
}

func (m *migrated) BrownoutBlocked(context.Context, migrate.Plan) ([]string, error) {
	return m.odd, nil
}

func (m *migrated) Brownout(_ context.Context, spec migrate.BrownoutSpec) (migrate.Tried, error) {
	if m.held != "" && spec.On {
		return migrate.Tried{}, fmt.Errorf("begin brownout: %w", admission.HeldError{Reason: m.held})
	}
	m.dark = append(m.dark, spec)
	return migrate.Tried{Since: opened()}, m.dropped
}

func (m *migrated) Housekeep(context.Context, time.Duration) error {
	m.housed = true
	return nil
}

func (m *migrated) BrownedOut(context.Context) ([]migrate.Standing, error) {
	return []migrate.Standing{m.standing}, nil
}

func (m *migrated) Migration(_ context.Context, owner effect.Owner) (migrate.Standing, error) {
	if m.standing.Owner != owner {
		return migrate.Standing{}, nil
	}
	return m.standing, nil
}

func (m *migrated) Migrations(context.Context, string) ([]migrate.Standing, error) {
	if m.standing.Owner == "" {
		return nil, nil
	}
	return []migrate.Standing{m.standing}, nil
}

func (m *migrated) Said(context.Context, effect.Owner) ([]gate.Gate, error) { return m.said, nil }

func (m *migrated) Ungiven(context.Context, effect.Owner, migrate.Phase) ([]string, error) {
	return nil, nil
}

func (m *migrated) FreeOld(context.Context, effect.Owner) ([]string, error) {
	m.freed = true
	return m.unfree, nil
}

func (m *migrated) Unfree(context.Context, effect.Owner) ([]string, error) { return m.unfree, nil }

func (m *migrated) ReadersOfColumns(context.Context, string, []string) ([]migrate.Reader, error) {
	return m.readers, nil
}

func (m *migrated) CallsOf(context.Context, effect.Owner, migrate.Plan) (migrate.Traffic, error) {
	return m.traffic, nil
}

func (m *migrated) ReadersOf(context.Context, string, []string) ([]backfill.Reader, []release.Tenure, error) {
	return nil, m.active, nil
}

func (m *migrated) DoStep(_ context.Context, spec migrate.StepSpec, _ func(time.Duration)) (migrate.StepResult, error) {
	verb := "do "
	if spec.Undo {
		verb = "undo "
	}
	m.done = append(m.done, verb+spec.Step.ID)
	return migrate.StepResult{Done: true}, nil
}

func (m *migrated) Unready(context.Context, effect.Owner, migrate.Plan, func()) ([]string, error) {
	m.counted++
	return m.unready, nil
}

func (m *migrated) Undone(_ context.Context, p migrate.Plan, phases ...migrate.Phase) ([]string, error) {
	var titles []string
	for _, phase := range phases {
		for _, s := range p.Of(phase) {
			if m.undone[s.ID] {
				titles = append(titles, s.Title)
			}
		}
	}
	return titles, nil
}

func (m *migrated) EndMigration(_ context.Context, _ effect.Owner, how string) error {
	m.ended = how
	return nil
}

func (m *migrated) EnterPhase(_ context.Context, _ effect.Owner, phase migrate.Phase) error {
	if m.held != "" {
		return fmt.Errorf("enter contract: %w", admission.HeldError{Reason: m.held})
	}
	m.entered = append(m.entered, phase)
	return nil
}

func (m *migrated) Deprecated(context.Context) ([]migrate.Standing, error) { return nil, nil }

func (m *migrated) WithdrawAck(_ context.Context, _ effect.Owner, consumer string) error {
	m.acks = slices.DeleteFunc(m.acks, func(name string) bool { return name == consumer })
	return nil
}

func (m *migrated) AckMigration(_ context.Context, _ effect.Owner, a migrate.Ack) error {
	m.acks = append(m.acks, a.Consumer)
	return nil
}

func (m *migrated) BeginMigration(_ context.Context, e migrate.Entry, key effect.Key) (migrate.Standing, error) {
	m.begun = append(m.begun, e.Digest)
	return migrate.Standing{Owner: key.Owner, Plan: e.Digest, Name: e.Plan.Migration.Name, Phase: migrate.Expand}, nil
}

func (m *migrated) DescribeAround(_ context.Context, d migrate.Table, _ migrate.Migration) (migrate.Table, error) {
	return d, nil
}

func (m *migrated) DescribeTable(_ context.Context, table string, _ []migrate.Typed, _ ...migrate.Replacement) (migrate.Table, error) {
	return migrate.Table{
		Schema: "shop_prod", Name: table, OID: 1, Kind: "table", Owned: true, Rows: 10, Version: 150018, Key: []string{"id"},
		Columns: []migrate.Column{{Name: "id", Type: "bigint", NotNull: true}, {Name: "chan", Type: "text"}},
	}, nil
}

// digesting is a store that knows blobs by their digests.
type digesting struct{ *shelf }

func (d digesting) PutBlob(_ context.Context, _ string, body []byte) (string, error) {
	sum := sha256.Sum256(body)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	d.blobs[digest] = body
	return digest, nil
}

// migrating is a migration that renames a column, and has begun by the plan of the answer.
func migrating(t *testing.T) (*activities.Migrating, *migrated, *bundle, migrate.Plan) {
	t.Helper()
	b := setup(t)
	b.shelf.releases["sha256:1.0.0"]["migrations/0001_channel.yaml"] = []byte(`table: sales
why: a better name
operations:
  - rename_column: {column: chan, to: channel}
consumers:
  - {name: bi, must_ack: true, roles: [bi_reader]}
  - {name: ops}
deprecate: {window: 1h}
`)
	b.Store = digesting{b.shelf}
	m := &migrated{desk: *b.desk}
	b.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return m, nil }
	a := &activities.Migrating{Site: b.Site, Now: opened}
	planned, err := call(t, a.Plan, activities.PlanMigrationInput{Target: target("prod")})
	require.Nil(t, err)
	p := readPlan(t, b, planned.Summary.Digest)
	m.standing = migrate.Standing{Owner: owner, Pipeline: "shop", Name: "0001_channel", Table: "sales", Plan: planned.Summary.Digest, Phase: migrate.Expand}
	return a, m, b, p
}

func readPlan(t *testing.T, b *bundle, digest string) migrate.Plan {
	t.Helper()
	require.Contains(t, b.shelf.blobs, digest)
	var p migrate.Plan
	require.NoError(t, json.Unmarshal(b.shelf.blobs[digest], &p))
	return p
}

// saidYes is a recorded approval of a plan at a gate.
func saidYes(name, plan string, at time.Time) gate.Gate {
	return gate.Gate{Name: name, Plan: plan, Requester: "ann", Answers: []gate.Answer{{
		Decision: gate.Decision{Gate: name, Plan: plan, Choice: gate.Approve, By: "bob", Reason: "it is right"}, At: at,
	}}}
}

func stepOf(t *testing.T, p migrate.Plan, phase migrate.Phase) string {
	t.Helper()
	steps := p.Of(phase)
	require.NotEmpty(t, steps, phase)
	return steps[0].ID
}

// A caller names a step of the plan that the ledger names, when it is that step's turn, and as far as people approved it. Nothing else is
// done, whoever asks.
func TestAStepIsDoneOnlyOfThePlanThatHasBegunAndWhenItIsItsTurn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		phase  migrate.Phase // of the step
		change func(m *migrated, b *bundle, in *activities.StepInput)
		says   string
	}{
		"its turn":            {migrate.Expand, func(*migrated, *bundle, *activities.StepInput) {}, ""},
		"undone":              {migrate.Expand, func(_ *migrated, _ *bundle, in *activities.StepInput) { in.Undo = true }, ""},
		"no step of the plan": {migrate.Expand, func(_ *migrated, _ *bundle, in *activities.StepInput) { in.Step = "DROP TABLE sales" }, "its plan has no step"},
		"nothing has begun":   {migrate.Expand, func(m *migrated, _ *bundle, _ *activities.StepInput) { m.standing = migrate.Standing{} }, "has not begun it here"},
		"it has ended":        {migrate.Expand, func(m *migrated, _ *bundle, _ *activities.StepInput) { m.standing.Ended = "done" }, "it has ended"},
		"another release": {migrate.Expand, func(m *migrated, b *bundle, _ *activities.StepInput) {
			m.of(b, func(p *migrate.Plan) { p.Release.Digest = "sha256:other" })
		}, "another release or environment"},
		"another environment": {migrate.Expand, func(m *migrated, b *bundle, _ *activities.StepInput) {
			m.of(b, func(p *migrate.Plan) { p.Environment = "dev" })
		}, "another release or environment"},
		"too early":              {migrate.Switch, func(*migrated, *bundle, *activities.StepInput) {}, "phase switch has not begun"},
		"nobody has approved it": {migrate.Expand, func(_ *migrated, b *bundle, _ *activities.StepInput) { b.Policy.Approval.Required = true }, "no approval of its plan is recorded"},
		"another plan was approved": {migrate.Expand, func(m *migrated, b *bundle, _ *activities.StepInput) {
			b.Policy.Approval.Required, m.said = true, []gate.Gate{saidYes("approval-prod", "sha256:other", opened())}
		}, "no approval of its plan is recorded"},
		"it is approved": {migrate.Expand, func(m *migrated, b *bundle, _ *activities.StepInput) {
			b.Policy.Approval.Required, m.said = true, []gate.Gate{saidYes("approval-prod", m.standing.Plan, opened())}
		}, ""},
		"it goes back without a word": {migrate.Expand, func(_ *migrated, b *bundle, in *activities.StepInput) {
			b.Policy.Approval.Required, in.Undo = true, true
		}, ""},
		"contract has not begun":  {migrate.Contract, func(*migrated, *bundle, *activities.StepInput) {}, "phase contract has not begun"},
		"contract without a word": {migrate.Contract, func(m *migrated, _ *bundle, _ *activities.StepInput) { m.standing.Phase = migrate.Contract }, "contract-prod"},
		"only its plan was approved": {migrate.Contract, func(m *migrated, _ *bundle, _ *activities.StepInput) {
			m.standing.Phase, m.said = migrate.Contract, []gate.Gate{saidYes("approval-prod", m.standing.Plan, opened())}
		}, "contract-prod"},
		"contract was approved": {migrate.Contract, func(m *migrated, _ *bundle, _ *activities.StepInput) {
			m.standing.Phase, m.said = migrate.Contract, []gate.Gate{saidYes("contract-prod", m.standing.Plan, opened())}
		}, ""},
		"nothing of contract goes back": {migrate.Contract, func(m *migrated, _ *bundle, in *activities.StepInput) {
			m.standing.Phase, in.Undo = migrate.Contract, true
		}, "point of no return"},
		"nothing goes back after it": {migrate.Expand, func(m *migrated, _ *bundle, in *activities.StepInput) {
			m.standing.Phase, in.Undo = migrate.Contract, true
		}, "point of no return"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, m, b, p := migrating(t)
			in := activities.StepInput{Target: target("prod"), Step: stepOf(t, p, c.phase)}
			c.change(m, b, &in)
			done, err := call(t, a.Step, in)
			if c.says == "" {
				require.Nil(t, err)
				require.True(t, done.Done)
				require.Len(t, m.done, 1)
				return
			}
			require.NotNil(t, err)
			require.Contains(t, err.Message(), c.says)
			require.Empty(t, m.done)
		})
	}
}

// of has the ledger name another plan, that somebody has left in the store.
func (m *migrated) of(b *bundle, change func(*migrate.Plan)) {
	var p migrate.Plan
	if err := json.Unmarshal(b.shelf.blobs[m.standing.Plan], &p); err != nil {
		panic(err)
	}
	change(&p)
	m.standing.Plan = migrate.Digest(p)
	b.shelf.blobs[m.standing.Plan] = migrate.Canonical(p)
}

// calls are three of a role's, the last at a time.
func calls(role string, last time.Time, guessed bool) migrate.Traffic {
	return migrate.Traffic{Calls: []migrate.Call{{Role: role, Query: 7, Columns: []string{"chan"}, Guessed: guessed, Calls: 3, Last: last}}}
}

func TestContractBeginsOnlyWhenNobodyNeedsTheOldShapeAndPeopleApprovedIt(t *testing.T) {
	t.Parallel()
	ready := []migrate.Ack{{Consumer: "bi", By: "bob", At: opened()}}
	view := []migrate.Reader{{Column: "chan", Kind: "view", Name: "daily", Owner: "bi"}}
	guess := []migrate.Reader{{Column: "chan", Kind: "function", Name: "f", Guessed: true}}
	for name, c := range map[string]struct {
		acks    []migrate.Ack
		readers []migrate.Reader
		said    time.Time // when it was approved; zero: never
		builds  string    // what an active release builds one of its outputs by
		since   time.Time // when its window of an hour began; zero: it is over
		phase   migrate.Phase
		want    activities.EnteredPhase
		refused bool
		unready []string
		held    string
		says    string
		traffic migrate.Traffic
	}{
		"a consumer's role calls it still": {
			acks: ready, said: opened(), traffic: calls("bi_reader", opened().Add(-59*time.Minute), false),
			want: activities.EnteredPhase{Blocked: []string{
				"bi still reads or writes chan as bi_reader: 3 times since the switch, the last seen at 2026-01-31 11:01 UTC; it waits until nothing was seen for 1h",
			}},
		},
		"a consumer's role has called it before":     {acks: ready, said: opened(), traffic: calls("bi_reader", opened().Add(-time.Hour), false), want: activities.EnteredPhase{Entered: true}},
		"a consumer's role may have called it":       {acks: ready, said: opened(), traffic: calls("bi_reader", opened(), true), want: activities.EnteredPhase{Entered: true}},
		"a role of nobody's calls it":                {acks: ready, said: opened(), traffic: calls("intern", opened(), false), want: activities.EnteredPhase{Entered: true}},
		"nobody may say what is called":              {acks: ready, said: opened(), traffic: migrate.Traffic{Unseen: "it is not installed"}, want: activities.EnteredPhase{Entered: true}},
		"in contract nobody is asked what they call": {acks: ready, said: opened(), phase: migrate.Contract, traffic: calls("bi_reader", opened(), false), want: activities.EnteredPhase{Entered: true}},
		"rows differ": {
			acks: ready, said: opened(), unready: []string{"that chan and channel say the same does not hold of 3 rows"},
			want: activities.EnteredPhase{Blocked: []string{"that chan and channel say the same does not hold of 3 rows"}},
		},
		"it is on hold": {acks: ready, said: opened(), held: "the environment is on hold: incident", want: activities.EnteredPhase{Held: "the environment is on hold: incident"}},
		"a release reads it": {
			acks: ready, said: opened(), builds: "SELECT chan AS channel FROM sales, raw_orders",
			want: activities.EnteredPhase{Blocked: []string{"the output fct_orders of the active release shop@1.1.0 reads chan (let it read channel instead)"}},
		},
		"a release reads the rest": {acks: ready, said: opened(), builds: "SELECT id FROM sales, raw_orders", want: activities.EnteredPhase{Entered: true}},
		"a release names another table's": {
			acks: ready, said: opened(), builds: "SELECT chan FROM raw_orders", want: activities.EnteredPhase{Entered: true},
		},
		"all is well":        {acks: ready, readers: guess, said: opened(), want: activities.EnteredPhase{Entered: true}},
		"bi is not ready":    {said: opened(), want: activities.EnteredPhase{Blocked: []string{"bi has not said that it is ready"}}},
		"a view reads it":    {acks: ready, readers: view, said: opened(), want: activities.EnteredPhase{Blocked: []string{"the view daily reads chan (let it read channel instead)"}}},
		"nobody approved it": {acks: ready, refused: true, says: "nobody has approved"},
		"its window is not over": {acks: ready, said: opened(), since: opened().Add(-59 * time.Minute), want: activities.EnteredPhase{
			Blocked: []string{"both shapes are kept until 2026-01-31T12:01:00Z"}, Opens: opened().Add(time.Minute),
		}},
		"its window has not begun": {acks: ready, said: opened(), phase: migrate.Switch, refused: true, says: "its deprecation window has not begun"},
		"it goes on in contract":   {acks: ready, said: opened(), phase: migrate.Contract, since: opened(), want: activities.EnteredPhase{Entered: true}},
		"its approval expired":     {acks: ready, said: opened().Add(-80 * time.Hour), want: activities.EnteredPhase{Lapsed: "the approval of bob expired at 2026-01-31T04:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, m, b, _ := migrating(t)
			m.standing.Phase, m.standing.Acks, m.readers = cmp.Or(c.phase, migrate.Deprecating), c.acks, c.readers
			m.standing.PhaseSince = c.since
			m.unready, m.held, m.traffic = c.unready, c.held, c.traffic
			if c.builds != "" {
				files := maps.Clone(b.shelf.releases["sha256:1.0.0"])
				files["sql/fct_orders.sql"] = []byte(c.builds)
				b.shelf.releases["sha256:1.1.0"] = files
				m.active = []release.Tenure{{Release: release.Release{Pipeline: "shop", Version: "1.1.0", Digest: "sha256:1.1.0"}}}
			}
			if !c.said.IsZero() {
				m.said = []gate.Gate{saidYes("contract-prod", m.standing.Plan, c.said)}
			}
			got, err := call(t, a.EnterPhase, activities.EnterPhaseInput{Target: target("prod"), Phase: migrate.Contract})
			if c.refused {
				require.NotNil(t, err)
				require.Contains(t, err.Message(), c.says)
			} else {
				require.Nil(t, err)
				got.Since = time.Time{}
				require.Equal(t, c.want, got)
			}
			require.Equal(t, c.want.Entered, slices.Contains(m.entered, migrate.Contract))
		})
	}
}

// Releases that leave the old shape out are let in once nobody else needs it, and until then they cannot be deployed: that one gives it holds up
// contract, and not what brings about its end.
func TestWhatReleasesStillGiveIsSaidBeforeContractAndHoldsItUp(t *testing.T) {
	t.Parallel()
	a, m, b, _ := migrating(t)
	m.of(b, func(p *migrate.Plan) { p.Given = &migrate.Given{Old: []string{"chan"}, New: []string{"channel"}} })
	m.standing.Phase, m.unfree = migrate.Deprecating, []string{"shop@2.0.0 is active, and gives chan"}
	m.said = []gate.Gate{saidYes("contract-prod", m.standing.Plan, opened())}
	enter := func() activities.EnteredPhase {
		got, err := call(t, a.EnterPhase, activities.EnterPhaseInput{Target: target("prod"), Phase: migrate.Contract})
		require.Nil(t, err)
		return got
	}
	blocked, err := call(t, a.Blockers, target("prod"))
	require.Nil(t, err)
	require.Equal(t, []string{"bi has not said that it is ready", "shop@2.0.0 is active, and gives chan"}, blocked.Why)
	require.Equal(t, []string{"bi has not said that it is ready"}, enter().Blocked)
	require.False(t, m.freed)

	m.standing.Acks = []migrate.Ack{{Consumer: "bi", By: "bob", At: opened()}}
	blocked, err = call(t, a.Blockers, target("prod"))
	require.Nil(t, err)
	require.Equal(t, m.unfree, blocked.Why)
	require.False(t, m.freed, "to look lets nothing in")
	require.Equal(t, m.unfree, enter().Blocked)
	require.True(t, m.freed)
	m.unfree = nil
	require.True(t, enter().Entered)
}

// Where the policy wants another environment first, its signed statement of just this migration lets one begin, and no other one.
func TestAMigrationBeginsOnlyWhereItIsSwitchedInTheEnvironmentsBefore(t *testing.T) {
	t.Parallel()
	switched := func(env, name string) release.Statement {
		return release.Statement{Kind: release.Migrated, Subject: "sha256:1.0.0", Environment: env, Plan: "sha256:p", Details: map[string]string{release.MigrationDetail: name}}
	}
	for name, c := range map[string]struct {
		statements []release.Statement
		says       string
	}{
		"it is switched there":         {[]release.Statement{switched("staging", "0001_channel")}, ""},
		"nothing is there":             {nil, "verified and switched in staging"},
		"another migration is":         {[]release.Statement{switched("staging", "0002_other")}, "verified and switched in staging"},
		"it is switched elsewhere":     {[]release.Statement{switched("dev", "0001_channel")}, "verified and switched in staging"},
		"only a deployment has passed": {[]release.Statement{{Kind: release.Passed, Environment: "staging"}}, "verified and switched in staging"},
		"it was yanked":                {[]release.Statement{switched("staging", "0001_channel"), {Kind: release.Yanked, Reason: "it loses rows"}}, "it loses rows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, m, b, p := migrating(t)
			m.standing = migrate.Standing{}
			b.Policy.Requires = []string{"staging"}
			b.shelf.statements = c.statements
			_, err := call(t, a.Begin, activities.BeginMigrationInput{Target: target("prod"), Name: "0001_channel", Plan: migrate.Digest(p), By: "ann", Reason: "so"})
			if c.says == "" {
				require.Nil(t, err)
				require.Len(t, m.begun, 1)
				return
			}
			require.NotNil(t, err)
			require.Contains(t, err.Message(), c.says)
			require.Empty(t, m.begun)
		})
	}
}

// What became of a migration is said to whoever wants to take it back, and nothing is begun for it.
func TestOnlyAnOpenMigrationIsTakenBack(t *testing.T) {
	t.Parallel()
	for ended, says := range map[string]string{
		"": "", migrate.Done: "nothing brings the old shape back", migrate.RolledBack: "it was rolled back in prod already",
	} {
		a, m, _, p := migrating(t)
		m.standing.Ended = ended
		asks := target("prod")
		asks.Release = release.Release{Pipeline: "shop"}
		got, err := call(t, a.Plan, activities.PlanMigrationInput{Target: asks, Name: "0001_channel", Rollback: true})
		if says == "" {
			require.Nil(t, err)
			require.Equal(t, migrate.Digest(p), got.Summary.Digest)
			continue
		}
		require.NotNil(t, err)
		require.Contains(t, err.Message(), says)
	}
}

// Whoever says that a migration is switched, or done, is held to the table: nobody signs what nobody did.
func TestAMigrationIsSwitchedAndDoneWhenItsTableIs(t *testing.T) {
	t.Parallel()
	attest := func(a *activities.Migrating) func(context.Context, activities.Target) (struct{}, error) {
		return func(ctx context.Context, in activities.Target) (struct{}, error) {
			return struct{}{}, a.AttestMigration(ctx, in)
		}
	}
	for _, phase := range []migrate.Phase{migrate.Expand, migrate.DualWrite, migrate.Switch} {
		a, m, b, p := migrating(t)
		m.standing.Phase = migrate.Deprecating
		steps := p.Of(phase)
		m.undone = map[string]bool{steps[len(steps)-1].ID: true}
		_, err := call(t, attest(a), target("prod"))
		require.NotNil(t, err, phase)
		require.Contains(t, err.Message(), steps[len(steps)-1].Title)
		require.Empty(t, b.shelf.statements)
		m.undone = nil
		_, err = call(t, attest(a), target("prod"))
		require.Nil(t, err)
		require.Len(t, b.shelf.statements, 1)

		_, err = call(t, a.End, activities.EndMigrationInput{Target: target("prod"), How: migrate.Done})
		require.NotNil(t, err)
		require.Contains(t, err.Message(), "its contract has not begun")
		require.Empty(t, m.ended)
	}
	a, m, _, p := migrating(t)
	m.standing.Phase = migrate.Contract
	m.undone = map[string]bool{p.Of(migrate.Contract)[0].ID: true}
	_, err := call(t, a.End, activities.EndMigrationInput{Target: target("prod"), How: migrate.Done})
	require.NotNil(t, err)
	require.Empty(t, m.ended)
	m.undone = nil
	_, err = call(t, a.End, activities.EndMigrationInput{Target: target("prod"), How: migrate.Done})
	require.Nil(t, err)
	require.Equal(t, migrate.Done, m.ended)
}

// A migration begins by the plan that was approved, or not at all.
func TestAMigrationBeginsByThePlanThatWasShownOrNotAtAll(t *testing.T) {
	t.Parallel()
	a, m, _, _ := migrating(t)
	m.standing = migrate.Standing{}
	_, err := call(t, a.Begin, activities.BeginMigrationInput{Target: target("prod"), Name: "0001_channel", Plan: "sha256:other", By: "ann", Reason: "so"})
	require.NotNil(t, err)
	require.Contains(t, err.Message(), "not as it was when this was planned")
	require.Empty(t, m.begun)
}

func TestOnlyTheWordOfAConsumerIsNoted(t *testing.T) {
	t.Parallel()
	a, m, _, _ := migrating(t)
	act := func(ctx context.Context, in activities.AckInput) (struct{}, error) {
		return struct{}{}, a.Ack(ctx, in)
	}
	_, err := call(t, act, activities.AckInput{Target: target("prod"), Ack: migrate.Ack{Consumer: "marketing", By: "eve", At: opened()}})
	require.NotNil(t, err)
	require.Contains(t, err.Message(), "is no consumer of it")
	_, err = call(t, act, activities.AckInput{Target: target("prod"), Ack: migrate.Ack{Consumer: "ops", By: "olga", At: opened()}})
	require.Nil(t, err)
	require.Equal(t, []string{"ops"}, m.acks)
	back := func(ctx context.Context, in activities.AckInput) (struct{}, error) {
		return struct{}{}, a.WithdrawAck(ctx, in)
	}
	_, err = call(t, back, activities.AckInput{Target: target("prod"), Ack: migrate.Ack{Consumer: "marketing", By: "eve", Reason: "so", At: opened()}})
	require.NotNil(t, err)
	require.Contains(t, err.Message(), "is no consumer of it")
	_, err = call(t, back, activities.AckInput{Target: target("prod"), Ack: migrate.Ack{Consumer: "ops", By: "olga", Reason: "so", At: opened()}})
	require.Nil(t, err)
	require.Empty(t, m.acks)
}

func TestATableIsHiddenOnlyWhenNobodyNeedsIt(t *testing.T) {
	t.Parallel()
	ready := []migrate.Ack{{Consumer: "bi", By: "bob", At: opened()}}
	for name, c := range map[string]struct {
		acks    []migrate.Ack
		readers []migrate.Reader
		undo    bool
		held    string
	}{
		"nobody needs it":        {ready, nil, false, ""},
		"somebody is not ready":  {nil, nil, false, "bi has not said that it is ready"},
		"a view reads it":        {ready, []migrate.Reader{{Column: "sales", Kind: "view", Name: "daily", Owner: "bi"}}, false, "the view daily reads sales"},
		"a function may read it": {ready, []migrate.Reader{{Column: "sales", Kind: "function", Name: "f()", Owner: "bi", Guessed: true}}, false, ""},
		"it gets its name back":  {nil, []migrate.Reader{{Column: "sales", Kind: "view", Name: "daily", Owner: "bi"}}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, m, b, _ := migrating(t)
			m.of(b, func(p *migrate.Plan) {
				p.Renamed, p.Drops, p.Old = "sales__dropped_0001", true, nil
				p.Steps = []migrate.Step{{ID: "switch-hide-sales", Phase: migrate.Switch, Class: migrate.Instant}}
			})
			m.standing.Phase, m.standing.Acks, m.readers = migrate.Switch, c.acks, c.readers
			done, err := call(t, a.Step, activities.StepInput{Target: target("prod"), Step: "switch-hide-sales", Undo: c.undo})
			require.Nil(t, err)
			require.Equal(t, c.held, done.Held)
			require.Equal(t, c.held == "", done.Done)
			require.Len(t, m.done, map[bool]int{true: 1, false: 0}[c.held == ""])
		})
	}
}

// joining is a warehouse in whose ledger nothing stands yet.
type joining struct {
	*migrated
	joined int
}

func (j *joining) Standing(context.Context) (release.Standing, error) {
	return release.Standing{}, nil
}

func (j *joining) Join(context.Context, effect.Key, func(context.Context) (*release.Hold, error)) error {
	j.joined++
	return nil
}

// A hold that is set while people are asked finds the ledger of what is to begin; only to look binds nothing.
func TestTheLedgerOfAMigrationThatIsToBeginJoinsItsEnvironment(t *testing.T) {
	t.Parallel()
	a, m, b, _ := migrating(t)
	m.standing = migrate.Standing{}
	j := &joining{migrated: m}
	b.Policy.Connections = (&street{}).site().Policy.Connections
	b.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return j, nil }
	_, err := call(t, a.Plan, activities.PlanMigrationInput{Target: target("prod")})
	require.Nil(t, err)
	require.Zero(t, j.joined)
	_, err = call(t, a.Plan, activities.PlanMigrationInput{Target: target("prod"), Begins: true})
	require.Nil(t, err)
	require.Equal(t, 1, j.joined)
}

// When one is done, what comes next is the first of the release that is not.
func TestAMigrationThatIsDoneSaysWhichIsNext(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]string{"0001_channel": "", "0000_before": "0001_channel"} {
		a, m, _, _ := migrating(t)
		m.standing.Name, m.standing.Phase, m.standing.Ended = name, migrate.Contract, migrate.Done
		ended, err := call(t, a.End, activities.EndMigrationInput{Target: target("prod"), How: migrate.Done})
		require.Nil(t, err)
		require.Equal(t, next, ended.Next)
	}
}
