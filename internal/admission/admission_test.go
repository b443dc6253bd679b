package admission_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/release"
)

const (
	deploying = effect.Owner("deploy/shop/1.1.0/0b0b0b0b-0000-4000-8000-000000000001")
	running   = effect.Owner("run/shop/0b0b0b0b-0000-4000-8000-000000000002")
	day       = "2026-01-02"
)

var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func version(v string) release.Release {
	return release.Release{Pipeline: "shop", Version: v, Digest: "sha256:" + v}
}

// world is what a case is asked in: 1.0.0 is active under tenure 1, and 1.1.0 crosses, approved, under tenure 2.
type world struct {
	q    admission.Question
	f    admission.Facts
	rule gate.Approval
}

func first() release.Tenure {
	return release.Tenure{Number: 1, Release: version("1.0.0"), Kind: release.ByDeployment, Owner: "deploy/shop/1.0.0/x", Activated: true}
}

// crossing is the deployment's publish of generation 12 over 11.
func crossing() *world {
	return &world{
		q: admission.Question{
			What: admission.Publish, Environment: "prod", Release: version("1.1.0"), Owner: deploying, Tenure: 2,
			Swaps: []generation.Swap{{Output: "orders", Partition: day, From: 11, To: 12}},
		},
		f: admission.Facts{
			Environment: "prod", Active: first(), Crossing: string(deploying), Now: now,
			Tenure: release.Tenure{Number: 2, Release: version("1.1.0"), Kind: release.ByDeployment, Owner: string(deploying), Plan: "sha256:plan"},
			Owners: map[string]string{"orders": "shop"},
			Generations: map[int64]admission.Generation{
				12: {Pipeline: "shop", Digest: "sha256:1.1.0", State: generation.Built, Audit: gate.Pass},
			},
			Live:    map[admission.Slot]int64{{Output: "orders", Partition: day}: 1},
			Answers: []gate.Gate{answered("grace", gate.Approve), answered("linus", gate.Approve)},
			Verdicts: map[admission.Stage]admission.Verdict{
				admission.Smoke: {Stage: admission.Smoke, Verdict: gate.Verdict{Outcome: gate.Pass}},
				admission.Canary: {
					Stage: admission.Canary, Verdict: gate.Verdict{Outcome: gate.Pass}, About: []string{"verdict of the canary"},
					Compared: []admission.Compared{{Output: "orders", Partition: day, Candidate: 12, Live: 11, Baseline: 11}},
				},
			},
		},
		rule: gate.Approval{Required: true, Approvers: []string{"grace", "linus"}},
	}
}

// nightly is a run's publish with the active release.
func nightly() *world {
	w := crossing()
	w.q.Release, w.q.Owner, w.q.Tenure, w.f.Tenure = version("1.0.0"), running, 1, first()
	w.f.Generations[12] = admission.Generation{Pipeline: "shop", Digest: "sha256:1.0.0", State: generation.Built, Audit: gate.Pass}
	w.f.Answers = nil
	return w
}

// back is the swap of an open turn-back from 1.1.0 to 1.0.0, under tenure 3.
func back() *world {
	w := crossing()
	w.q.Release, w.q.Tenure, w.q.TurnBack, w.q.Owner = version("1.0.0"), 3, true, "rollback/shop/prod/x"
	w.f.Active.Number, w.f.Active.Release = 2, version("1.1.0")
	w.f.Tenure = release.Tenure{Number: 3, Release: version("1.0.0"), Kind: release.ByTurnBack, Owner: string(w.q.Owner), Back: 1}
	w.f.TurnBack, w.f.Answers = 3, nil
	w.f.Live[admission.Slot{Output: "orders", Partition: day}] = 2
	w.f.Generations[12] = admission.Generation{Pipeline: "shop", Digest: "sha256:0.9.0", State: generation.Retired}
	return w
}

func answered(by string, choice gate.Choice) gate.Gate {
	g := gate.Gate{Name: gate.ApprovalOf("prod"), Plan: "sha256:plan", Requester: "ada"}
	g.Answers = []gate.Answer{{Decision: gate.Decision{Gate: g.Name, Plan: g.Plan, Choice: choice, By: by, Reason: "read it"}, At: now.Add(-time.Hour)}}
	return g
}

// accepting is what one person answered about the audit of a generation.
func accepting(id int64, by string) gate.Gate { return about(admission.AboutGeneration(id), by) }

// about is what one person accepted.
func about(what, by string) gate.Gate {
	g := gate.Gate{Name: "audit-prod", Requester: "ada", About: []string{what}}
	g.Answers = []gate.Answer{{Decision: gate.Decision{Gate: g.Name, Choice: gate.Approve, By: by, Reason: "looked"}, At: now}}
	return g
}

// together are the answers at one gate.
func together(gates ...gate.Gate) gate.Gate {
	g := gates[0]
	for _, o := range gates[1:] {
		g.Answers = append(g.Answers, o.Answers...)
	}
	return g
}

// looked is what a stage has found.
func looked(stage admission.Stage, outcome gate.Outcome) func(*world) {
	return func(w *world) {
		v := w.f.Verdicts[stage]
		v.Outcome = outcome
		w.f.Verdicts[stage] = v
	}
}

// watched is the deployment's statement that its release has passed.
func watched() *world {
	w := crossing()
	w.q.What, w.q.Swaps, w.f.Tenure.Activated = admission.Attest, nil, true
	w.f.Active = w.f.Tenure
	return w
}

func TestWhatReplacesAReleaseHasPassedSmokeAndCanary(t *testing.T) {
	t.Parallel()
	type change = func(*world)
	expanding := func() *world {
		w := crossing()
		w.q.What, w.q.Swaps = admission.Expand, nil
		return w
	}
	another := func() *world {
		w := crossing()
		w.q.Swaps[0].Partition, w.f.Live = "2026-01-03", nil
		return w
	}
	for name, c := range map[string]struct {
		but     []change
		refused bool
	}{
		"that both passed":              {},
		"that nobody has tried":         {but: []change{func(w *world) { w.f.Verdicts = nil }}, refused: true},
		"that smoke has not tried":      {but: []change{func(w *world) { delete(w.f.Verdicts, admission.Smoke) }}, refused: true},
		"that was compared by nobody":   {but: []change{func(w *world) { delete(w.f.Verdicts, admission.Canary) }}, refused: true},
		"that failed its smoke":         {but: []change{looked(admission.Smoke, gate.Fail)}, refused: true},
		"that the canary refused":       {but: []change{looked(admission.Canary, gate.Fail)}, refused: true},
		"that could not be compared":    {but: []change{looked(admission.Canary, gate.Inconclusive)}, refused: true},
		"with an outcome that is unset": {but: []change{looked(admission.Canary, "")}, refused: true},
		"that a person accepted": {but: []change{looked(admission.Canary, gate.Inconclusive), func(w *world) {
			w.f.Accepted = []gate.Gate{about("verdict of the canary", "grace")}
		}}},
		"that somebody accepted who may not": {but: []change{looked(admission.Canary, gate.Inconclusive), func(w *world) {
			w.f.Accepted = []gate.Gate{about("verdict of the canary", "mallory")}
		}}, refused: true},
		"where another verdict was accepted": {but: []change{looked(admission.Canary, gate.Inconclusive), func(w *world) {
			w.f.Accepted = []gate.Gate{about("verdict of an earlier canary", "grace")}
		}}, refused: true},
		"that failed, whoever accepts it": {but: []change{looked(admission.Canary, gate.Fail), func(w *world) {
			w.f.Accepted = []gate.Gate{about("verdict of the canary", "grace")}
		}}, refused: true},
		"where only one of two unsure generations was accepted": {but: []change{looked(admission.Smoke, gate.Inconclusive), func(w *world) {
			v := w.f.Verdicts[admission.Smoke]
			v.About = []string{admission.AboutGeneration(12), admission.AboutGeneration(13)}
			w.f.Verdicts[admission.Smoke] = v
			w.f.Accepted = []gate.Gate{accepting(12, "grace")}
		}}, refused: true},
		"that is inconclusive about nothing that a person could accept": {but: []change{looked(admission.Smoke, gate.Inconclusive)}, refused: true},
	} {
		for what, of := range map[string]func() *world{"published": crossing, "published where nothing was compared": another, "given room": expanding, "attested": watched} {
			t.Run("what is "+what+" "+name, func(t *testing.T) {
				t.Parallel()
				w := of()
				require.NoError(t, admission.Decide(w.q, w.f, w.rule), "without the change it is admitted")
				for _, change := range c.but {
					change(w)
				}
				err := admission.Decide(w.q, w.f, w.rule)
				if !c.refused {
					require.NoError(t, err)
					return
				}
				require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
				require.NotEmpty(t, fault.HintOf(err), "a refusal says what to do next")
			})
		}
	}
}

func TestAVerdictIsAboutWhatWasCompared(t *testing.T) {
	t.Parallel()
	untried := func(w *world) { w.f.Verdicts = nil }
	for name, c := range map[string]struct {
		of    func() *world
		but   func(*world)
		class fault.Class // empty: admitted
	}{
		"another generation than the canary's": {of: crossing, but: func(w *world) {
			w.f.Generations[13], w.q.Swaps[0].To = w.f.Generations[12], 13
		}, class: fault.Conflict},
		"in the place of another generation":                               {of: crossing, but: func(w *world) { w.q.Swaps[0].From = 10 }, class: fault.Conflict},
		"what was compared with nothing, where something is active by now": {of: crossing, but: looked(admission.Canary, gate.None), class: fault.Refused},
		"a first release": {of: crossing, but: func(w *world) { w.f.Active, w.f.Verdicts = release.Tenure{}, nil }},
		"a first release, where all was taken away": {of: crossing, but: func(w *world) {
			w.f.Active, w.f.Verdicts = release.Tenure{Number: 1, Kind: release.ByTurnBack, Activated: true}, nil
		}},
		"the statement of a first release":                {of: watched, but: looked(admission.Canary, gate.None)},
		"the statement of a first release, tried by none": {of: watched, but: untried, class: fault.Refused},
		"the statement of a first release, of which a partition went back": {of: watched, but: func(w *world) {
			looked(admission.Canary, gate.None)(w)
			w.f.Active.Number, w.f.Active.Kind = 3, release.ByTurnBack
		}},
		"a build": {of: crossing, but: func(w *world) {
			w.q.What, w.q.Swaps = admission.Build, nil
			untried(w)
		}},
		"a run":                      {of: nightly, but: untried},
		"a turn-back":                {of: back, but: untried},
		"more of what is active now": {of: crossing, but: func(w *world) { untried(w); w.f.Active = w.f.Tenure }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := c.of()
			c.but(w)
			err := admission.Decide(w.q, w.f, w.rule)
			require.Equal(t, c.class, fault.ClassOf(err), "%v", err)
			require.Equal(t, c.class == "", err == nil, "%v", err)
		})
	}
}

func TestAdmission(t *testing.T) {
	t.Parallel()
	type change = func(*world)
	generationIs := func(f func(*admission.Generation)) change {
		return func(w *world) {
			g := w.f.Generations[12]
			f(&g)
			w.f.Generations[12] = g
		}
	}
	quorum := func(w *world) { w.rule.Quorum = 2 }
	cases := map[string]struct {
		of    func() *world
		but   []change
		class fault.Class // empty: admitted
		held  bool
		again bool // it may be approved again
	}{
		"a deployment that was approved": {of: crossing},
		"a run with what is active":      {of: nightly},
		"a run beside a crossing":        {of: nightly, but: []change{func(w *world) { w.f.Crossing = string(deploying) }}},
		"a turn-back's swap":             {of: back},
		"a turn-back's rebuild": {of: back, but: []change{generationIs(func(g *admission.Generation) {
			g.State, g.Digest, g.Audit = generation.Built, "sha256:1.0.0", gate.Pass
		})}},
		"a turn-back's detach": {of: back, but: []change{func(w *world) { w.q.Swaps[0].To = 0 }}},

		"the schema is another environment's": {of: crossing, but: []change{func(w *world) { w.f.Environment = "staging" }}, class: fault.Refused},
		"the ledger is nobody's yet":          {of: crossing, but: []change{func(w *world) { w.f.Environment = "" }}},
		"the table is another pipeline's":     {of: crossing, but: []change{func(w *world) { w.f.Owners["orders"] = "billing" }}, class: fault.Refused},
		"a table that it reads as its own": {of: crossing, but: []change{func(w *world) {
			w.q.Outputs = []string{"invoices"}
			w.f.Owners["invoices"] = "billing"
		}}, class: fault.Refused},

		"a workflow that was fenced":         {of: crossing, but: []change{func(w *world) { w.f.Fenced = "rolled back" }}, class: fault.Conflict},
		"a run that was fenced":              {of: nightly, but: []change{func(w *world) { w.f.Fenced = "rolled back" }}, class: fault.Conflict},
		"a compensation under a fenced key":  {of: back, but: []change{func(w *world) { w.f.Fenced = "rolled back" }}},
		"a deployment while one turns back":  {of: crossing, but: []change{func(w *world) { w.f.TurnBack = 3 }}, class: fault.Conflict},
		"a run while one turns back":         {of: nightly, but: []change{func(w *world) { w.f.TurnBack = 3 }}, class: fault.Conflict},
		"a turn-back that has ended":         {of: back, but: []change{func(w *world) { w.f.TurnBack = 0 }}, class: fault.Conflict},
		"another turn-back than the open":    {of: back, but: []change{func(w *world) { w.f.TurnBack = 4 }}, class: fault.Conflict},
		"a turn-back by a deployment's name": {of: back, but: []change{func(w *world) { w.f.Tenure.Kind = release.ByDeployment }}, class: fault.Refused},
		"a publish under a turn-back's name": {of: back, but: []change{func(w *world) { w.q.TurnBack, w.f.TurnBack = false, 0 }}, class: fault.Refused},

		"a tenure that the ledger does not know": {of: crossing, but: []change{func(w *world) { w.f.Tenure = release.Tenure{} }}, class: fault.Refused},
		"a tenure of another release":            {of: crossing, but: []change{func(w *world) { w.q.Release = version("6.6.6") }}, class: fault.Refused},
		"a tenure of another config":             {of: crossing, but: []change{func(w *world) { w.q.Config = "sha256:other" }}, class: fault.Refused},
		"a tenure of another workflow":           {of: crossing, but: []change{func(w *world) { w.q.Owner = running }}, class: fault.Refused},
		"a deployment that left the crossing":    {of: crossing, but: []change{func(w *world) { w.f.Crossing = "" }}, class: fault.Conflict},
		"a deployment while another crosses":     {of: crossing, but: []change{func(w *world) { w.f.Crossing = "deploy/shop/2.0.0/y" }}, class: fault.Conflict},
		"a run of what is not active any more": {of: nightly, but: []change{func(w *world) {
			w.f.Active = release.Tenure{Number: 2, Release: version("1.1.0"), Activated: true}
		}}, class: fault.Conflict},
		"a run of what was turned back": {of: nightly, but: []change{func(w *world) {
			w.f.Active = release.Tenure{Number: 3, Release: version("1.0.0"), Activated: true}
		}}, class: fault.Conflict},
		"a deployment that a later tenure overtook": {of: crossing, but: []change{func(w *world) { w.f.Active.Number = 5 }}, class: fault.Conflict},
		"a run where nothing is active opens its own": {of: nightly, but: []change{func(w *world) {
			w.f.Active, w.f.Tenure.Activated, w.f.Tenure.Kind, w.f.Tenure.Owner = release.Tenure{}, false, release.ByRun, string(running)
			w.f.Crossing, w.rule, w.f.Live = "", gate.Approval{}, nil
		}}},
		"a run where nothing is active, and an approval is wanted": {of: nightly, but: []change{func(w *world) {
			w.f.Active, w.f.Tenure.Activated, w.f.Tenure.Kind, w.f.Tenure.Owner = release.Tenure{}, false, release.ByRun, string(running)
			w.f.Crossing = ""
		}}, class: fault.Refused},
		"a run where nothing is active, while a deployment crosses": {of: nightly, but: []change{func(w *world) {
			w.f.Active, w.f.Tenure.Activated, w.f.Tenure.Kind, w.f.Tenure.Owner = release.Tenure{}, false, release.ByRun, string(running)
			w.rule = gate.Approval{}
		}}, class: fault.Conflict},
		"a first run after another has become active": {of: nightly, but: []change{func(w *world) {
			w.f.Active.Number, w.q.Tenure = 1, 2
			w.f.Tenure = release.Tenure{Number: 2, Release: version("1.0.0"), Kind: release.ByRun, Owner: string(running)}
		}}, class: fault.Conflict},

		"nobody approved":              {of: crossing, but: []change{func(w *world) { w.f.Answers = nil }}, class: fault.Refused},
		"a plan that nobody recorded":  {of: crossing, but: []change{func(w *world) { w.f.Tenure.Plan = "" }}, class: fault.Refused},
		"a laptop asks nobody":         {of: crossing, but: []change{func(w *world) { w.rule, w.f.Answers = gate.Approval{}, nil }}},
		"two gates are not two voices": {of: crossing, but: []change{quorum}, class: fault.Refused},
		"a quorum at one gate": {of: crossing, but: []change{quorum, func(w *world) {
			w.f.Answers = []gate.Gate{together(w.f.Answers...)}
		}}},
		"one person twice is no quorum": {of: crossing, but: []change{quorum, func(w *world) {
			w.f.Answers = []gate.Gate{together(answered("grace", gate.Approve), answered("grace", gate.Approve))}
		}}, class: fault.Refused},
		"somebody who is no approver": {of: crossing, but: []change{func(w *world) { w.f.Answers = []gate.Gate{answered("eve", gate.Approve)} }}, class: fault.Refused},
		"the requester, where four eyes are wanted": {of: crossing, but: []change{func(w *world) {
			w.rule = gate.Approval{Required: true, FourEyes: true}
			w.f.Answers = []gate.Gate{answered("ada", gate.Approve)}
		}}, class: fault.Refused},
		"a gate that says decided, with no answers": {of: crossing, but: []change{func(w *world) {
			w.f.Answers = []gate.Gate{{Name: gate.ApprovalOf("prod"), Plan: "sha256:plan", Decided: gate.Approve}}
		}}, class: fault.Refused},
		"answers at a gate that is no approval": {of: crossing, but: []change{func(w *world) {
			g := answered("grace", gate.Approve)
			g.Name, g.Answers[0].Gate = "canary-prod", "canary-prod"
			w.f.Answers = []gate.Gate{g}
		}}, class: fault.Refused},
		"a rejection": {of: crossing, but: []change{func(w *world) { w.f.Answers = []gate.Gate{answered("grace", gate.Reject)} }}, class: fault.Refused},
		"an approval that has expired": {of: crossing, but: []change{func(w *world) {
			w.f.Now = now.Add(72 * time.Hour)
		}}, class: fault.Refused, again: true},
		"an approval that has expired on hold": {of: crossing, but: []change{func(w *world) {
			w.f.Now, w.f.Hold = now.Add(72*time.Hour), "disk is full"
		}}, held: true},
		"an approval that has expired is looked for after all that can never be": {of: crossing, but: []change{func(w *world) {
			w.f.Now, w.f.Crossing = now.Add(72*time.Hour), ""
		}}, class: fault.Conflict},
		"an approval that has expired, and one that was given again": {of: crossing, but: []change{func(w *world) {
			again := answered("linus", gate.Approve)
			again.Name, again.Answers[0].Gate, again.Answers[0].At = "approval-prod-2", "approval-prod-2", now.Add(71*time.Hour)
			w.f.Now, w.f.Answers = now.Add(72*time.Hour), append(w.f.Answers, again)
		}}},
		"an approval that expired after it began": {of: crossing, but: []change{func(w *world) {
			w.f.Now, w.f.Begun = now.Add(72*time.Hour), true
		}}},

		"a generation of another release": {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.Digest = "sha256:6.6.6" })}, class: fault.Refused},
		"under the active release's name": {of: nightly, but: []change{generationIs(func(g *admission.Generation) { g.Digest = "sha256:6.6.6" })}, class: fault.Refused},
		"a generation of another config":  {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.Config = "sha256:other" })}, class: fault.Refused},
		"of another pipeline":             {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.Pipeline = "billing" })}, class: fault.Refused},
		"a control":                       {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.Control = true })}, class: fault.Refused},
		"that nobody built":               {of: crossing, but: []change{func(w *world) { w.f.Generations = nil }}, class: fault.Refused},
		"that was live before":            {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.State = generation.Retired })}, class: fault.Refused},
		"that is still being built":       {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.State = generation.Building })}, class: fault.Conflict},
		"that was rejected":               {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.State = generation.Rejected })}, class: fault.Conflict},
		"that was dropped":                {of: back, but: []change{generationIs(func(g *admission.Generation) { g.State = generation.Dropped })}, class: fault.Conflict},
		"from a shadow":                   {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.State = generation.Shadow })}},
		"a rebuild of another release than the turn-back's": {of: back, but: []change{generationIs(func(g *admission.Generation) {
			g.State = generation.Built
		})}, class: fault.Refused},
		"a turn-back to another pipeline's": {of: back, but: []change{generationIs(func(g *admission.Generation) { g.Pipeline = "billing" })}, class: fault.Refused},
		"a detach by a deployment":          {of: crossing, but: []change{func(w *world) { w.q.Swaps[0].To = 0 }}, class: fault.Refused},
		"a partition that has moved to a later tenure": {of: nightly, but: []change{func(w *world) {
			w.f.Live[admission.Slot{Output: "orders", Partition: day}] = 2
		}}, class: fault.Conflict},

		"a deployment on hold": {of: crossing, but: []change{func(w *world) { w.f.Hold = "disk is full" }}, held: true},
		"a run on hold":        {of: nightly, but: []change{func(w *world) { w.f.Hold = "disk is full" }}, held: true},
		"a build on hold": {of: crossing, but: []change{func(w *world) {
			w.f.Hold, w.q.What, w.q.Swaps = "disk is full", admission.Build, nil
		}}},
		"making room on hold": {of: crossing, but: []change{func(w *world) {
			w.f.Hold, w.q.What, w.q.Swaps = "disk is full", admission.Expand, nil
		}}, held: true},
		"a turn-back on hold": {of: back, but: []change{func(w *world) { w.f.Hold = "disk is full" }}},
		"what is refused is not told to wait": {of: crossing, but: []change{func(w *world) {
			w.f.Hold, w.f.Fenced = "disk is full", "rolled back"
		}}, class: fault.Conflict},

		"a build aside": {of: crossing, but: []change{func(w *world) {
			w.q.What, w.q.Tenure, w.q.Swaps, w.f.Tenure, w.f.Answers = admission.Build, 0, nil, release.Tenure{}, nil
		}}},
		"a build under a tenure needs no approval yet": {of: crossing, but: []change{func(w *world) {
			w.q.What, w.q.Swaps, w.f.Answers = admission.Build, nil, nil
		}}},
		"making room for it does": {of: crossing, but: []change{func(w *world) {
			w.q.What, w.q.Swaps, w.f.Answers = admission.Expand, nil, nil
		}}, class: fault.Refused},
		"a build of what was fenced": {of: crossing, but: []change{func(w *world) {
			w.q.What, w.q.Tenure, w.q.Swaps, w.f.Fenced = admission.Build, 0, nil, "rolled back"
		}}, class: fault.Conflict},
		"a publish without a tenure": {of: crossing, but: []change{func(w *world) { w.q.Tenure, w.f.Tenure = 0, release.Tenure{} }}, class: fault.Refused},

		"to attest what is active": {of: crossing, but: []change{func(w *world) {
			w.q.What, w.q.Swaps, w.f.Tenure.Activated = admission.Attest, nil, true
			w.f.Active = w.f.Tenure
		}}},
		"to attest for another workflow": {of: crossing, but: []change{func(w *world) {
			w.q.What, w.q.Swaps, w.f.Tenure.Activated, w.q.Owner = admission.Attest, nil, true, running
			w.f.Active = w.f.Tenure
		}}, class: fault.Refused},
		"to attest before its watch is over": {of: crossing, but: []change{func(w *world) {
			w.q.What, w.q.Swaps, w.f.Tenure.Activated, w.f.Tenure.At, w.q.Watch = admission.Attest, nil, true, now.Add(-time.Hour), 2*time.Hour
			w.f.Active = w.f.Tenure
		}}, held: true},
		"to attest when its watch is over, by a clock that is a little behind": {of: crossing, but: []change{func(w *world) {
			w.q.What, w.q.Swaps, w.f.Tenure.Activated, w.f.Tenure.At, w.q.Watch = admission.Attest, nil, true, now.Add(-time.Hour), time.Hour+time.Second
			w.f.Active = w.f.Tenure
		}}},
		"what failed its audit":     {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.Audit = gate.Fail })}, class: fault.Refused},
		"what was not audited":      {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.Audit = "" })}, class: fault.Refused},
		"what could not be audited": {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.Audit = gate.Inconclusive })}, class: fault.Refused},
		"what could not be audited, and was accepted": {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.Audit = gate.Inconclusive }), func(w *world) {
			w.f.Accepted = []gate.Gate{accepting(12, "grace")}
		}}},
		"what could not be audited, where another was accepted": {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.Audit = gate.Inconclusive }), func(w *world) {
			w.f.Accepted = []gate.Gate{accepting(13, "grace")}
		}}, class: fault.Refused},
		"what could not be audited, and was accepted by who may not": {of: crossing, but: []change{generationIs(func(g *admission.Generation) { g.Audit = gate.Inconclusive }), func(w *world) {
			w.f.Accepted = []gate.Gate{accepting(12, "mallory")}
		}}, class: fault.Refused},
		"to attest what is not active": {of: crossing, but: []change{func(w *world) { w.q.What, w.q.Swaps = admission.Attest, nil }}, class: fault.Conflict},
		"to attest what was rolled back": {of: crossing, but: []change{func(w *world) {
			w.q.What, w.q.Swaps, w.f.Tenure.Activated = admission.Attest, nil, true
			w.f.Active = release.Tenure{Number: 3, Release: version("1.0.0"), Kind: release.ByTurnBack, Activated: true}
		}}, class: fault.Conflict},
		"to attest while one turns back": {of: crossing, but: []change{func(w *world) {
			w.q.What, w.q.Swaps, w.f.Tenure.Activated, w.f.TurnBack = admission.Attest, nil, true, 3
			w.f.Active = w.f.Tenure
		}}, class: fault.Conflict},
		"to attest what a turn-back brought back": {of: back, but: []change{func(w *world) {
			w.q.What, w.q.Swaps, w.q.TurnBack, w.f.TurnBack = admission.Attest, nil, false, 0
			w.f.Active = w.f.Tenure
		}}, class: fault.Refused},
		"to attest under a turn-back's name": {of: back, but: []change{func(w *world) { w.q.What, w.q.Swaps = admission.Attest, nil }}, class: fault.Refused},
		"to attest what a first run activated": {of: nightly, but: []change{func(w *world) {
			w.q.What, w.q.Swaps, w.f.Tenure.Kind = admission.Attest, nil, release.ByRun
			w.f.Active = w.f.Tenure
		}}, class: fault.Refused},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := c.of()
			require.NoError(t, admission.Decide(w.q, w.f, w.rule), "without the change it is admitted")
			for _, change := range c.but {
				change(w)
			}
			err := admission.Decide(w.q, w.f, w.rule)
			_, held := errors.AsType[admission.HeldError](err)
			require.Equal(t, c.held, held, "%v", err)
			require.Equal(t, c.class, fault.ClassOf(err), "%v", err)
			_, again := errors.AsType[admission.LapsedError](err)
			require.Equal(t, c.again, again, "%v", err)
			if c.class != "" {
				require.NotEmpty(t, fault.HintOf(err), "a refusal says what to do next")
			} else if !c.held {
				require.NoError(t, err)
			}
		})
	}
}
