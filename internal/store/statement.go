package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"oras.land/oras-go/v2/content"

	"drawbridge/internal/fault"
	"drawbridge/internal/release"
)

// Rejected is an attached statement that does not count, and why.
type Rejected struct {
	Digest string `json:"digest"`
	Reason string `json:"reason"`
}

// The in-toto form of a statement, inside a DSSE envelope.
const (
	inTotoType    = "https://in-toto.io/Statement/v1"
	inTotoPayload = "application/vnd.in-toto+json"
	predicateType = "urn:drawbridge:statement:v1"
	envelopeType  = "application/vnd.dsse.envelope.v1+json"
)

type inTotoStatement struct {
	Type          string            `json:"_type"`
	Subject       []inTotoSubject   `json:"subject"`
	PredicateType string            `json:"predicateType"`
	Predicate     release.Statement `json:"predicate"`
}

type inTotoSubject struct {
	Digest map[string]string `json:"digest"`
}

// Attach signs a statement and attaches it to its release. The same statement by the same signer is attached
// once, however often this is called: so At is the caller's, which a retry must not move.
func (s *Store) Attach(ctx context.Context, signer Signer, st release.Statement) error {
	if err := st.Check(); err != nil {
		return err
	}
	about, _, err := s.loadManifest(ctx, st.Subject, TypeRelease)
	if err != nil {
		return err
	}
	envelope, err := sign(ctx, signer, st)
	if err != nil {
		return err
	}
	subject := ocispec.Descriptor{MediaType: about.descriptor.MediaType, Digest: about.descriptor.Digest, Size: about.descriptor.Size}
	layer := content.NewDescriptorFromBytes(envelopeType, envelope)
	m, err := newManifest(TypeStatement, layer, &subject, nil)
	if err != nil {
		return err
	}
	if err := s.write(ctx, m, layer, envelope); err != nil {
		return s.explain("attach statement to", st.Subject, err)
	}
	_, err = s.backend.writeManifest(ctx, m, "")
	return s.explain("attach statement to", st.Subject, err)
}

// Statements returns the statements about a release that a trusted key signed, oldest first, and those that do
// not count: unsigned, tampered with, signed by another key, or about another release.
func (s *Store) Statements(ctx context.Context, trusted Verifier, releaseDigest string) ([]release.Statement, []Rejected, error) {
	about, _, err := s.loadManifest(ctx, releaseDigest, TypeRelease)
	if err != nil {
		return nil, nil, err
	}
	referrers, err := s.backend.referrers(ctx, about.descriptor)
	if err != nil {
		return nil, nil, s.explain("list statements about", releaseDigest, err)
	}
	var (
		statements []release.Statement
		rejected   []Rejected
	)
	for _, referrer := range referrers {
		st, err := s.statement(ctx, trusted, releaseDigest, referrer.Digest.String())
		switch {
		case err == nil:
			statements = append(statements, st)
		case fault.ClassOf(err) != "" && !errors.Is(err, errNoAccess):
			rejected = append(rejected, Rejected{Digest: referrer.Digest.String(), Reason: err.Error()})
		default:
			return nil, nil, err
		}
	}
	slices.SortFunc(statements, func(a, b release.Statement) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Environment, b.Environment))
	})
	slices.SortFunc(rejected, func(a, b Rejected) int { return cmp.Compare(a.Digest, b.Digest) })
	return statements, rejected, nil
}

// statement reads one. Its errors are faults where the statement does not count, unless the store cannot be
// reached: not to see a statement must not look like having none.
func (s *Store) statement(ctx context.Context, trusted Verifier, subject, statementDigest string) (release.Statement, error) {
	_, m, err := s.loadManifest(ctx, statementDigest, TypeStatement)
	if err != nil {
		return release.Statement{}, err
	}
	envelope, err := s.read(ctx, m.Layers[0], maxManifestSize)
	if err != nil {
		return release.Statement{}, err
	}
	st, err := open(ctx, trusted, envelope)
	if err != nil {
		return release.Statement{}, refused(statementDigest, err)
	}
	if st.Subject != subject {
		return release.Statement{}, refused(statementDigest, fmt.Errorf("it is about %s", st.Subject))
	}
	return st, st.Check()
}

func refused(object string, err error) error {
	return fault.New(fault.Refused, "verify statement", object,
		"have it signed again by a key that this environment trusts, or find out who attached it", err)
}

func sign(ctx context.Context, signer Signer, st release.Statement) ([]byte, error) {
	st.At = st.At.UTC()
	body, err := json.Marshal(inTotoStatement{
		Type:          inTotoType,
		Subject:       []inTotoSubject{{Digest: map[string]string{"sha256": strings.TrimPrefix(st.Subject, "sha256:")}}},
		PredicateType: predicateType,
		Predicate:     st,
	})
	if err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	signing, err := dsse.NewEnvelopeSigner(signer)
	if err != nil {
		return nil, fmt.Errorf("prepare signature: %w", err)
	}
	envelope, err := signing.SignPayload(ctx, inTotoPayload, body)
	if err != nil {
		return nil, fmt.Errorf("sign statement: %w", err)
	}
	return json.Marshal(envelope)
}

// open verifies an envelope before it looks at what is inside.
func open(ctx context.Context, trusted Verifier, data []byte) (release.Statement, error) {
	var envelope dsse.Envelope
	if err := json.Unmarshal(data, &envelope); err != nil {
		return release.Statement{}, errors.New("it is no signed envelope")
	}
	keyID, body, err := trusted.verify(ctx, &envelope)
	if err != nil {
		return release.Statement{}, err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	var in inTotoStatement
	if err := decoder.Decode(&in); err != nil || envelope.PayloadType != inTotoPayload ||
		in.Type != inTotoType || in.PredicateType != predicateType || len(in.Subject) != 1 {
		return release.Statement{}, errors.New("it is signed, but no statement that this version knows")
	}
	st := in.Predicate
	st.Subject, st.KeyID = "sha256:"+in.Subject[0].Digest["sha256"], keyID
	return st, nil
}
