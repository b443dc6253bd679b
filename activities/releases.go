package activities

import (
	"context"
	"fmt"
	"time"

	"drawbridge/internal/admission"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// Releases builds releases and states what happened to them.
type Releases struct {
	Site *Site
	Now  func() time.Time
}

// BuildReleaseInput names a source blob that the CLI pushed.
type BuildReleaseInput struct {
	Source string `json:"source"`
}

// BuildRelease packs a source blob into a release, exactly as `drawbridge build` does on a laptop: the digests are equal.
// It claims no version. It is idempotent on the content: the same source again is the same release.
func (a *Releases) BuildRelease(ctx context.Context, in BuildReleaseInput) (release.Release, error) {
	files, err := a.Site.Store.Source(ctx, in.Source)
	if err != nil {
		return release.Release{}, fmt.Errorf("fetch source %s: %w", in.Source, err)
	}
	p, err := a.Site.parse(ctx, files, "")
	if err != nil {
		return release.Release{}, err
	}
	return a.Site.Store.Try(ctx, p.Name, p.Version, files)
}

// beyond says that the environment is not the first that a pipeline's releases cross: whatever enters it has claimed its
// version.
func (s *Site) beyond(p *pipeline.Pipeline) bool {
	return len(p.Environments) > 0 && s.Environment != p.Environments[0]
}

// called is a release as people are to know it here, whatever a caller calls it: by its version where it has claimed that or
// is about to, else as a try.
func (s *Site) called(ctx context.Context, p *pipeline.Pipeline, digest string) (release.Release, error) {
	r := release.Release{Pipeline: p.Name, Version: p.Version, Digest: digest}
	if s.beyond(p) {
		return r, nil
	}
	owner, err := s.Store.Owner(ctx, p.Name, p.Version)
	return r.As(owner), err
}

// renamed puts right what a ledger calls releases of a pipeline: what was a try when it was noted may have claimed its version
// since.
func (s *Site) renamed(ctx context.Context, pipeline string, versions ...*string) error {
	now := map[string]string{}
	for _, version := range versions {
		base, digits, try := release.CutTry(*version)
		if _, known := now[*version]; try && !known {
			owner, err := s.Store.Owner(ctx, pipeline, base)
			if err != nil {
				return err
			}
			if now[*version] = *version; (release.Release{Digest: owner}).Is(digits) {
				now[*version] = base
			}
		}
		if try {
			*version = now[*version]
		}
	}
	return nil
}

// taken is a problem where the version that a release will have to claim here is another release's.
func (s *Site) taken(ctx context.Context, p *pipeline.Pipeline, digest string) ([]plan.Problem, error) {
	if !s.beyond(p) {
		return nil, nil
	}
	owner, err := s.Store.Owner(ctx, p.Name, p.Version)
	if err != nil || owner == "" || owner == digest {
		return nil, err
	}
	return []plan.Problem{{
		Rule: "version", Object: describe(p), Blocking: true, Text: "the version is another release's already, " + gate.Short(owner),
		Remedy: "raise the version in pipeline.yaml, and plan or deploy again",
	}}, nil
}

// Attest signs and attaches the statement that a release has passed, as the ledger bears it out: the target's owner brought it here,
// its tenure is active and has been for as long as the release watches, and nobody stopped it. Plan, person and reason are those of the
// tenure. A statement of the same kind, environment and plan is attached once.
func (a *Releases) Attest(ctx context.Context, t Target) error {
	p, w, err := a.Site.open(ctx, t)
	if err != nil {
		return err
	}
	ticket := a.Site.ticket(t, admission.Attest, nil, nil)
	ticket.Question.Watch = plan.WatchOf(p, p.Config).For
	if err := w.Admit(ctx, ticket); err != nil {
		return err
	}
	tenure, err := w.TenureOf(ctx, t.Release.Pipeline, t.Owner)
	if err != nil {
		return err
	}
	have, err := a.Site.Store.Statements(ctx, t.Release.Digest)
	if err != nil {
		return fmt.Errorf("read statements: %w", err)
	}
	for _, s := range have {
		if s.Kind == release.Passed && s.Environment == t.Environment && s.Plan == tenure.Plan {
			return nil
		}
	}
	return a.Site.Store.Attach(ctx, release.Statement{
		Kind: release.Passed, Subject: t.Release.Digest, Environment: t.Environment, Plan: tenure.Plan,
		By: tenure.By, Reason: tenure.Reason, At: a.Now().UTC(),
	})
}

// admit refuses a release that the environment's policy does not let in: yanked, or without the signed statement of an
// environment that it had to pass first.
func (s *Site) admit(ctx context.Context, r release.Release) error {
	have, err := s.Store.Statements(ctx, r.Digest)
	if err != nil {
		return fmt.Errorf("read statements: %w", err)
	}
	passed := map[string]bool{}
	for _, st := range have {
		switch st.Kind {
		case release.Yanked:
			return fault.Newf(fault.Refused, "admit release", r.Pipeline+"@"+r.Version, "deploy another version",
				"it was yanked: "+st.Reason)
		case release.Passed:
			passed[st.Environment] = true
		case release.Validated, release.Approved, release.Migrated:
		}
	}
	for _, env := range s.Policy.Requires {
		if !passed[env] {
			return fault.Newf(fault.Refused, "admit release", r.Pipeline+"@"+r.Version,
				fmt.Sprintf("cross %s first: drawbridge deploy %s@%s --to %s", env, r.Pipeline, r.Version, s.Environment),
				fmt.Sprintf("%s wants a signed statement that it passed %s, and there is none", s.Environment, env))
		}
	}
	return nil
}

// describe names the pipeline in an error.
func describe(p *pipeline.Pipeline) string { return p.Name + "@" + p.Version }
