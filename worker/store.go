package main

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"drawbridge/internal/release"
	"drawbridge/internal/store"
)

// signedStore joins the activities to the artifact store, and signs and verifies with this worker's keys.
type signedStore struct {
	*store.Store
	signer  store.Signer
	trusted store.Verifier
	log     *zap.Logger
}

// Source implements activities.Store.
func (s signedStore) Source(ctx context.Context, digest string) (map[string][]byte, error) {
	return s.Store.Source(ctx, digest)
}

// Try implements activities.Store.
func (s signedStore) Try(ctx context.Context, name, version string, files map[string][]byte) (release.Release, error) {
	return s.Store.Try(ctx, name, version, files)
}

// Files implements activities.Store.
func (s signedStore) Files(ctx context.Context, digest string) (map[string][]byte, error) {
	r, err := s.Load(ctx, digest)
	return r.Files, err
}

// Attach implements activities.Store.
func (s signedStore) Attach(ctx context.Context, st release.Statement) error {
	return s.Store.Attach(ctx, s.signer, st)
}

// Statements implements activities.Store. What does not count (unsigned, tampered with, signed by a key that is not
// trusted here) is logged and left out.
func (s signedStore) Statements(ctx context.Context, digest string) ([]release.Statement, error) {
	found, rejected, err := s.Store.Statements(ctx, s.trusted, digest)
	if err != nil {
		return nil, fmt.Errorf("read statements about %s: %w", digest, err)
	}
	for _, r := range rejected {
		s.log.Warn("a statement does not count", zap.String("statement", r.Digest), zap.String("reason", r.Reason))
	}
	return found, nil
}
