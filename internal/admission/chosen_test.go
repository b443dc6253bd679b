package admission_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
)

// choosing is a backfill that publishes 0.9.0 under tenure 1, while 1.0.0 is active, as grace has approved.
func choosing() *world {
	w := nightly()
	w.q.Release, w.q.Owner = version("0.9.0"), "backfill/shop/prod/2026-01-01..2026-01-02/x"
	w.f.Generations[12] = admission.Generation{Pipeline: "shop", Digest: "sha256:0.9.0", State: generation.Built, Audit: gate.Pass}
	w.f.Chosen = admission.Chosen{Tenure: 1, Digest: "sha256:0.9.0", Answers: []gate.Gate{answered("grace", gate.Approve)}}
	return w
}

// What is not active is published beside it by a backfill's own, approved plan only.
func TestABackfillPublishesAnotherReleaseOnlyAsPeopleApprovedIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*world)
		class  fault.Class
	}{
		"as it was approved":                 {func(*world) {}, ""},
		"aside, before anybody has answered": {func(w *world) { w.q.What, w.q.Swaps, w.f.Chosen.Answers = admission.Build, nil, nil }, ""},
		"nobody has answered":                {func(w *world) { w.f.Chosen.Answers = nil }, fault.Refused},
		"somebody said no":                   {func(w *world) { w.f.Chosen.Answers = []gate.Gate{answered("grace", gate.Reject)} }, fault.Refused},
		"nobody who may":                     {func(w *world) { w.f.Chosen.Answers = []gate.Gate{answered("eve", gate.Approve)} }, fault.Refused},
		"where nobody has to, somebody must": {func(w *world) { w.rule, w.f.Chosen.Answers = gate.Approval{}, nil }, fault.Refused},
		"the backfill has ended":             {func(w *world) { w.f.Chosen = admission.Chosen{} }, fault.Refused},
		"it builds another release":          {func(w *world) { w.f.Chosen.Digest = "sha256:0.8.0" }, fault.Refused},
		"it builds with another config":      {func(w *world) { w.f.Chosen.Config = "sha256:c" }, fault.Refused},
		"it was planned for another tenure":  {func(w *world) { w.f.Chosen.Tenure = 2 }, fault.Refused},
		"something else is active since":     {func(w *world) { w.f.Active.Number, w.f.Active.Release = 2, version("1.1.0") }, fault.Conflict},
		"it makes room":                      {func(w *world) { w.q.What = admission.Expand }, fault.Refused},
		"it says that it has passed":         {func(w *world) { w.q.What = admission.Attest }, fault.Refused},
		"a generation of the active one": {func(w *world) {
			w.f.Generations[12] = admission.Generation{Pipeline: "shop", Digest: "sha256:1.0.0", State: generation.Built, Audit: gate.Pass}
		}, fault.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := choosing()
			c.change(w)
			require.Equal(t, c.class, fault.ClassOf(admission.Decide(w.q, w.f, w.rule)))
		})
	}
}
