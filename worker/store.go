package main

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"drawbridge/activities"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// store joins the activities to the artifact store, and signs and verifies with this worker's keys.
type store struct {
	*release.Store
	signer  release.Signer
	trusted release.Verifier
	log     *zap.Logger
}

// Source implements activities.Store.
func (s store) Source(ctx context.Context, digest string) (map[string][]byte, error) {
	return s.Store.Source(ctx, digest)
}

// Publish implements activities.Store.
func (s store) Publish(ctx context.Context, name, version string, files map[string][]byte) (plan.Release, error) {
	r, _, err := s.Build(ctx, name, version, files)
	return plan.Release{Pipeline: name, Version: version, Digest: r.Digest}, err
}

// Files implements activities.Store.
func (s store) Files(ctx context.Context, digest string) (map[string][]byte, error) {
	r, err := s.Load(ctx, digest)
	return r.Files, err
}

// Attach implements activities.Store.
func (s store) Attach(ctx context.Context, st activities.Statement) error {
	return s.Store.Attach(ctx, s.signer, release.Statement{
		Kind: release.Kind(st.Kind), Subject: st.Subject, Environment: st.Environment, PlanDigest: st.Plan,
		By: st.By, Reason: st.Reason, At: st.At, Details: st.Details,
	})
}

// Statements implements activities.Store. What does not count (unsigned, tampered with, signed by a key that is not
// trusted here) is logged and left out.
func (s store) Statements(ctx context.Context, digest string) ([]activities.Statement, error) {
	found, rejected, err := s.Store.Statements(ctx, s.trusted, digest)
	if err != nil {
		return nil, fmt.Errorf("read statements about %s: %w", digest, err)
	}
	for _, r := range rejected {
		s.log.Warn("a statement does not count", zap.String("statement", r.Digest), zap.String("reason", r.Reason))
	}
	out := make([]activities.Statement, len(found))
	for i, st := range found {
		out[i] = activities.Statement{
			Kind: activities.StatementKind(st.Kind), Subject: digest, Environment: st.Environment, Plan: st.PlanDigest,
			By: st.By, Reason: st.Reason, At: st.At, Details: st.Details,
		}
	}
	return out, nil
}
