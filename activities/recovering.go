package activities

import (
	"context"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/partition"
	"drawbridge/internal/turnback"
)

// RemainsInput asks what a workflow has left that cannot speak. The target names its pipeline, and no release.
type RemainsInput struct {
	Target   Target `json:"target"`
	Workflow string `json:"workflow"` // ID
	// Configs are the digests of configs with which it may have replaced the packed one.
	Configs []string `json:"configs,omitempty"`
}

// Remains are what a workflow has left in an environment.
type Remains struct {
	Rule gate.Approval `json:"rule"` // of every gate there
	// Tells says that the environment's policy has somebody told what happens there.
	Tells bool `json:"tells,omitempty"`
	// Places are the ledgers that know its pipeline.
	Places []Place `json:"places,omitempty"`
	// Unread is why a further one, in which there may be something, could not be looked at.
	Unread string `json:"unread,omitempty"`
}

// Place is one ledger, and what it has of a workflow.
type Place struct {
	Target  Target           `json:"target"` // a release and config that say where it is
	Remains turnback.Remains `json:"remains"`
}

// Remains looks for what a workflow has left, in whichever schema of the environment its pipeline's releases have lived: an
// environment whose ledgers do not know the pipeline has nothing of it. It reads only.
func (a *TurningBack) Remains(ctx context.Context, in RemainsInput) (Remains, error) {
	out := Remains{Rule: a.Site.Policy.Approval, Tells: a.Site.Policy.Notify.Tells()}
	if err := a.Site.serves(in.Target.Environment); err != nil {
		return out, err
	}
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	open := false
	failed, err := a.Site.places(ctx, in.Target, append([]string{""}, in.Configs...), func(at place) (done bool, err error) {
		remains, err := at.w.Remains(ctx, in.Target.Release.Pipeline, in.Workflow)
		switch {
		case err != nil: // the others still tell
			out.Unread = fault.Bound(at.p.Config.WarehouseSchema + ": " + err.Error())
		case remains.Known:
			out.Places = append(out.Places, Place{Target: at.target, Remains: remains})
			open = open || remains.Open
		}
		return false, ctx.Err()
	})
	if err != nil {
		return out, err
	}
	// A release of which nothing can be read any more matters only where nothing else says where the pipeline lives; a server that
	// does not answer may have what is looked for.
	if failed != nil && !open && (len(out.Places) == 0 || fault.ClassOf(failed) == "") {
		out.Unread = fault.Bound(failed.Error())
	}
	return out, nil
}
