package main

import (
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"

	"drawbridge/activities"
)

// registerControl names an environment's short activities as they are on the wire.
func registerControl(w worker.Worker, site *activities.Site) {
	releases := &activities.Releases{Site: site, Now: time.Now}
	planning := &activities.Planning{Site: site}
	publishing := &activities.Publishing{Site: site}
	turning := &activities.TurningBack{Site: site}
	watching := &activities.Watching{Site: site, Now: time.Now}
	inspecting := &activities.Inspecting{Site: site}
	register(w, map[string]any{
		"BuildRelease":   releases.BuildRelease,
		"Attest":         releases.Attest,
		"Observe":        planning.Observe,
		"Compute":        planning.Compute,
		"ReadPlan":       planning.ReadPlan,
		"Recheck":        planning.Recheck,
		"Expand":         publishing.Expand,
		"AttachShadow":   publishing.AttachShadow,
		"DropShadow":     publishing.DropShadow,
		"Publish":        publishing.Publish,
		"Activate":       publishing.Activate,
		"Active":         publishing.Active,
		"RecordApproval": publishing.RecordApproval,
		"Housekeep":      publishing.Housekeep,
		"Fence":          turning.Fence,
		"Survey":         turning.Survey,
		"Swaps":          turning.Swaps,
		"Rebuilds":       turning.Rebuilds,
		"MeasureBefore":  watching.MeasureBefore,
		"Look":           watching.Look,
		"Inspect":        inspecting.Inspect,
	})
}

// registerBuilds names an environment's long activities as they are on the wire.
func registerBuilds(w worker.Worker, site *activities.Site) {
	builds := &activities.Builds{Site: site, Now: time.Now}
	register(w, map[string]any{
		"BuildSlice":      builds.BuildSlice,
		"ValidateRelease": builds.ValidateRelease,
		"ValidateSource":  builds.ValidateSource,
		"ChooseBaseline":  builds.ChooseBaseline,
		"CompareCanary":   builds.CompareCanary,
	})
}

func register(w worker.Worker, named map[string]any) {
	for name, f := range named {
		w.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
	}
}
