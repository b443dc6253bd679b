package activities

import (
	"context"
	"fmt"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// other is another release as it runs in a target's place: its own SQL, with the target's config, so that it reads the same
// files and writes into the same warehouse.
func (s *Site) other(ctx context.Context, t Target, r release.Release) (*pipeline.Pipeline, error) {
	if r.Pipeline != t.Release.Pipeline {
		return nil, fault.Newf(fault.Refused, "build a control of", r.String(), "plan again: "+planLine(t), "it is no release of "+t.Release.Pipeline)
	}
	name := s.packed()
	body, err := s.config(ctx, t, name)
	if err != nil {
		return nil, err
	}
	files, err := s.Store.Files(ctx, r.Digest)
	if err != nil {
		return nil, fmt.Errorf("fetch release %s: %w", r.Digest, err)
	}
	p, err := pipeline.Parse(replaced(files, name, body), name)
	if err != nil {
		return nil, err
	}
	return p.At(t.Now), nil
}

// config is the text of a target's config: the blob that replaces the packed one, or the packed one.
func (s *Site) config(ctx context.Context, t Target, name string) ([]byte, error) {
	if t.Config != "" {
		body, err := s.Store.Blob(ctx, t.Config)
		if err != nil {
			return nil, fmt.Errorf("fetch config %s: %w", t.Config, err)
		}
		return body, nil
	}
	files, err := s.Store.Files(ctx, t.Release.Digest)
	if err != nil {
		return nil, fmt.Errorf("fetch release %s: %w", t.Release.Digest, err)
	}
	return files[name], nil
}
