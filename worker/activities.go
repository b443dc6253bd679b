package main

import (
	"time"

	"drawbridge/activities"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// controlActivities are an environment's short activities.
func controlActivities(site *activities.Site) []conduct.Bound {
	releases := &activities.Releases{Site: site, Now: time.Now}
	planning := &activities.Planning{Site: site}
	publishing := &activities.Publishing{Site: site}
	turning := &activities.TurningBack{Site: site, Now: time.Now}
	admitting := &activities.Admitting{Site: site}
	watching := &activities.Watching{Site: site}
	keeping := &activities.Keeping{Site: site}
	telling := &activities.Telling{Site: site, Now: time.Now}
	inspecting := &activities.Inspecting{Site: site}
	backfilling := &activities.Filling{Site: site, Now: time.Now}
	migrating := &activities.Migrating{Site: site, Now: time.Now}
	scheduling := &activities.Scheduling{Site: site}
	adopting := &activities.Adopting{Site: site}
	return []conduct.Bound{
		workflows.BuildRelease.Bind(releases.BuildRelease),
		conduct.Effect(workflows.Attest, releases.Attest),
		workflows.Observe.Bind(planning.Observe),
		workflows.Compute.Bind(planning.Compute),
		workflows.ReadPlan.Bind(planning.ReadPlan),
		conduct.Effect(workflows.Recheck, planning.Recheck),
		workflows.Expand.Bind(publishing.Expand),
		conduct.Effect(workflows.AttachShadow, publishing.AttachShadow),
		conduct.Effect(workflows.DropShadow, publishing.DropShadow),
		workflows.Publish.Bind(publishing.Publish),
		workflows.Survey.Bind(keeping.Survey),
		conduct.Effect(workflows.Housekeep, keeping.Housekeep),
		workflows.SetHold.Bind(keeping.Hold),
		conduct.Effect(workflows.Announce, telling.Announce),
		workflows.Deliver.Bind(telling.Deliver),
		workflows.Enter.Bind(admitting.Enter),
		conduct.Effect(workflows.BeginWatch, admitting.BeginWatch),
		conduct.Effect(workflows.Leave, admitting.Leave),
		conduct.Effect(workflows.RecordAnswers, admitting.RecordAnswers),
		workflows.BeginTurnBack.Bind(turning.Begin),
		workflows.BeginCompensation.Bind(turning.Compensate),
		workflows.BeginRecovery.Bind(turning.Recover),
		workflows.SwapPass.Bind(turning.SwapPass),
		workflows.EndTurnBack.Bind(turning.End),
		workflows.FindRemains.Bind(turning.Remains),
		workflows.MeasureBefore.Bind(watching.MeasureBefore),
		workflows.Look.Bind(watching.Look),
		workflows.PlanBackfill.Bind(backfilling.Plan),
		workflows.BeginBackfill.Bind(backfilling.Begin),
		workflows.EndBackfill.Bind(backfilling.End),
		workflows.PlanMigration.Bind(migrating.Plan),
		workflows.BeginMigration.Bind(migrating.Begin),
		workflows.EnterPhase.Bind(migrating.EnterPhase),
		workflows.MigrationStep.Bind(migrating.Step),
		workflows.Ungiven.Bind(migrating.Ungiven),
		workflows.MigrationBlockers.Bind(migrating.Blockers),
		workflows.BrownOut.Bind(migrating.Brownout),
		conduct.Effect(workflows.AckMigration, migrating.Ack),
		conduct.Effect(workflows.WithdrawAck, migrating.WithdrawAck),
		conduct.Effect(workflows.AttestMigration, migrating.AttestMigration),
		workflows.EndMigration.Bind(migrating.End),
		workflows.PlanAdoption.Bind(adopting.Plan),
		workflows.ProveAdoption.Bind(adopting.Prove),
		workflows.AdoptTable.Bind(adopting.Adopt),
		workflows.ReleaseTable.Bind(adopting.Release),
		workflows.Due.Bind(scheduling.Due),
		workflows.MissingFiles.Bind(scheduling.Missing),
		workflows.Inspect.Bind(inspecting.Inspect),
		workflows.Examine.Bind(inspecting.Inspect),
	}
}

// buildActivities are an environment's long activities.
func buildActivities(site *activities.Site) []conduct.Bound {
	b := &activities.Builds{Site: site, Now: time.Now}
	return []conduct.Bound{
		workflows.BuildSlice.Bind(b.BuildSlice),
		workflows.ValidateRelease.Bind(b.ValidateRelease),
		workflows.ValidateSource.Bind(b.ValidateSource),
		workflows.ChooseBaseline.Bind(b.ChooseBaseline),
		workflows.CompareCanary.Bind(b.CompareCanary),
		workflows.FillSlice.Bind((&activities.Filling{Site: site, Now: time.Now}).Fill),
		workflows.CutBackfill.Bind((&activities.Filling{Site: site, Now: time.Now}).CutOver),
		workflows.FillTable.Bind((&activities.Migrating{Site: site, Now: time.Now}).Fill),
		workflows.ProveMigration.Bind((&activities.Migrating{Site: site, Now: time.Now}).Prove),
		workflows.RebuildPass.Bind((&activities.TurningBack{Site: site, Now: time.Now}).RebuildPass),
	}
}
