package plan

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"drawbridge/internal/gate"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// MaxSummary bounds the JSON of a Summary: it travels through workflow histories, in which the plan itself is a digest.
const MaxSummary = 32 << 10

// Summary is what a workflow needs of a plan. The plan is a blob, which activities read by the digest.
type Summary struct {
	Digest       string               `json:"digest"`
	Release      release.Release      `json:"release"`
	Owner        string               `json:"owner"`
	Environments []EnvironmentSummary `json:"environments"`
}

// EnvironmentSummary is one environment of a Summary. Problems and the texts of steps may be cut short; what is decided
// by number or name is complete.
type EnvironmentSummary struct {
	Name       string           `json:"name"`
	Schema     string           `json:"schema"`
	Active     *release.Release `json:"active,omitempty"`
	Smoke      []partition.Key  `json:"smoke"`
	SmokeMax   time.Duration    `json:"smoke_max"`
	Canary     []partition.Key  `json:"canary"`
	Aside      int              `json:"aside,omitempty"` // generations that smoke builds and nobody publishes
	Slices     int              `json:"slices"`          // of the work, the canary's included
	Partitions int              `json:"partitions"`      // built in all of them
	Lanes      int              `json:"lanes"`           // slices that are built at the same time
	// Transactions are those of the cut-over; 0: each slice is published as it is built. Asks says that readers would notice.
	Transactions int           `json:"transactions,omitempty"`
	Asks         bool          `json:"asks,omitempty"`
	Approval     gate.Approval `json:"approval"`
	// Compensate says what is taken back when it is rejected or fails here.
	Compensate pipeline.Compensate `json:"compensate,omitempty"`
	Requires   []string            `json:"requires,omitempty"`
	Watch      Watch               `json:"watch"` // without its checks
	RollbackTo *release.Release    `json:"rollback_to,omitempty"`
	Steps      []Step              `json:"steps"`
	// Blocking counts all the blocking problems; Problems are the first ones, blocking before others.
	Blocking int       `json:"blocking"`
	Problems []Problem `json:"problems,omitempty"`
	// Tells says that somebody is told what happens there.
	Tells bool `json:"tells,omitempty"`
}

// Summarize cuts a plan down to at most MaxSummary bytes of JSON, whatever the number of its partitions and problems.
func Summarize(p Plan) Summary {
	for limit := 512; ; limit /= 2 {
		s := p.summary(limit)
		if body, err := json.Marshal(s); limit == 0 || (err == nil && len(body) <= MaxSummary) {
			return s
		}
	}
}

// summary keeps the texts to a number of bytes, and a problem for each 32 of them.
func (p Plan) summary(limit int) Summary {
	s := Summary{Digest: p.Digest, Release: p.Release, Owner: cut(p.Owner, limit)}
	for _, e := range p.Environments {
		es := EnvironmentSummary{
			Name: e.Name, Schema: e.Schema, Active: e.Active,
			Smoke: e.Smoke, SmokeMax: e.SmokeMax, Canary: e.Canary, Aside: len(e.Aside),
			Slices: len(e.Slices), Partitions: Partitions(e.Slices), Lanes: e.Lanes,
			Transactions: len(e.Cutover.Slices), Asks: e.Cutover.Asks,
			Approval: e.Approval, Compensate: e.Compensate, Requires: e.Requires, Watch: e.Watch, RollbackTo: e.Rollback.To,
			Tells: e.Shown.Tells,
		}
		es.Watch.Checks = nil
		for _, step := range e.Steps {
			es.Steps = append(es.Steps, Step{ID: step.ID, Title: cut(step.Title, limit)})
		}
		for _, problem := range blockingFirst(e.Problems) {
			if problem.Blocking {
				es.Blocking++
			}
			if len(es.Problems) < limit/32 {
				es.Problems = append(es.Problems, Problem{
					Rule: cut(problem.Rule, limit), Object: cut(problem.Object, limit),
					Text: cut(problem.Text, limit), Remedy: cut(problem.Remedy, limit), Blocking: problem.Blocking,
				})
			}
		}
		s.Environments = append(s.Environments, es)
	}
	return s
}

// blockingFirst orders problems by whether they refuse the deployment, and leaves the order otherwise.
func blockingFirst(problems []Problem) []Problem {
	ordered := make([]Problem, 0, len(problems))
	for _, blocking := range []bool{true, false} {
		for _, p := range problems {
			if p.Blocking == blocking {
				ordered = append(ordered, p)
			}
		}
	}
	return ordered
}

// cut shortens a text to at most limit bytes, at a character's end.
func cut(text string, limit int) string {
	const mark = "…"
	if len(text) <= limit {
		return text
	}
	end := limit - len(mark)
	if end < 0 {
		return ""
	}
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}
