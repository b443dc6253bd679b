package workflows

import (
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/adoption"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/migrate"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
	"drawbridge/internal/schedule"
	"drawbridge/workflows/conduct"
)

// Names on the wire. A running workflow may use any of them: none is ever renamed.
const (
	// Queue is the task queue of the workflows, served only by workers started with --workflows.
	Queue = "drawbridge"

	DeploymentName  = "drawbridge.Deployment"
	RunName         = "drawbridge.Run"
	BackfillName    = "drawbridge.Backfill"
	MigrationName   = "drawbridge.Migration"
	RollbackName    = "drawbridge.Rollback"
	RecoveryName    = "drawbridge.Recovery"
	PlanName        = "drawbridge.Plan"
	ValidationName  = "drawbridge.Validation"
	InspectionName  = "drawbridge.Inspection"
	EnvironmentName = "drawbridge.Environment"
	ScheduledName   = "drawbridge.Scheduled"
	HoldName        = "drawbridge.Hold"
	AdoptionName    = "drawbridge.Adoption"

	// StatusQuery answers a Status.
	StatusQuery = conduct.StatusQuery
	// Decide is an update (answers at once) and a signal (durable, also from the Web UI): a gate.Decision.
	Decide = conduct.Decide
	// Steer is an update and a signal that pauses, resumes and the like: a conduct.Command.
	Steer = conduct.Steer
)

// The activities: name on the wire, how they run, what they take and what they answer.
const (
	BuildRelease conduct.Call[control, activities.BuildReleaseInput, release.Release] = "BuildRelease"
	Attest       conduct.Call[control, activities.Target, conduct.None]               = "Attest"

	Observe  conduct.Call[observing, activities.Target, activities.ObserveResult]      = "Observe"
	Compute  conduct.Call[control, activities.ComputeInput, activities.ComputeResult]  = "Compute"
	ReadPlan conduct.Call[control, activities.ReadPlanInput, activities.ComputeResult] = "ReadPlan"
	Recheck  conduct.Call[observing, activities.RecheckInput, conduct.None]            = "Recheck"

	ValidateRelease conduct.Call[building, activities.Target, activities.ValidateResult]              = "ValidateRelease"
	ValidateSource  conduct.Call[building, activities.ValidateSourceInput, activities.ValidateResult] = "ValidateSource"
	BuildSlice      conduct.Call[building, activities.SliceInput, activities.SliceResult]             = "BuildSlice"
	ChooseBaseline  conduct.Call[building, activities.BaselineInput, activities.BaselineResult]       = "ChooseBaseline"
	CompareCanary   conduct.Call[building, activities.CompareInput, activities.CompareResult]         = "CompareCanary"

	Enter         conduct.Call[settling, activities.EnterInput, activities.Entered] = "Enter"
	BeginWatch    conduct.Call[control, activities.Target, conduct.None]            = "BeginWatch"
	Leave         conduct.Call[control, activities.Target, conduct.None]            = "Leave"
	RecordAnswers conduct.Call[control, activities.RecordInput, conduct.None]       = "RecordAnswers"

	PlanBackfill  conduct.Call[observing, activities.PlanFillInput, activities.FillPlan]  = "PlanBackfill"
	BeginBackfill conduct.Call[entering, activities.BeginFillInput, activities.BegunFill] = "BeginBackfill"
	FillSlice     conduct.Call[building, activities.FillInput, activities.Filled]         = "FillSlice"
	CutBackfill   conduct.Call[building, activities.CutInput, activities.Filled]          = "CutBackfill"
	EndBackfill   conduct.Call[settling, activities.EndFillInput, activities.EndedFill]   = "EndBackfill"

	PlanMigration     conduct.Call[observing, activities.PlanMigrationInput, activities.MigrationPlan] = "PlanMigration"
	BeginMigration    conduct.Call[entering, activities.BeginMigrationInput, activities.MigrationPlan] = "BeginMigration"
	EnterPhase        conduct.Call[altering, activities.EnterPhaseInput, activities.EnteredPhase]      = "EnterPhase"
	MigrationStep     conduct.Call[altering, activities.StepInput, migrate.StepResult]                 = "MigrationStep"
	FillTable         conduct.Call[building, activities.FillTableInput, activities.FilledTable]        = "FillTable"
	Ungiven           conduct.Call[control, activities.UngivenInput, activities.Ungiven]               = "Ungiven"
	ProveMigration    conduct.Call[building, activities.Target, []migrate.Checked]                     = "ProveMigration"
	MigrationBlockers conduct.Call[control, activities.Target, activities.Blocked]                     = "MigrationBlockers"
	BrownOut          conduct.Call[settling, activities.BrownoutInput, activities.BrownoutOutput]      = "BrownOut"
	AckMigration      conduct.Call[control, activities.AckInput, conduct.None]                         = "AckMigration"
	WithdrawAck       conduct.Call[control, activities.AckInput, conduct.None]                         = "WithdrawAck"
	AttestMigration   conduct.Call[control, activities.Target, conduct.None]                           = "AttestMigration"
	EndMigration      conduct.Call[settling, activities.EndMigrationInput, activities.EndedMigration]  = "EndMigration"

	Expand       conduct.Call[swapping, activities.ExpandInput, generation.ExpandResult]   = "Expand"
	Publish      conduct.Call[swapping, activities.PublishInput, generation.PublishResult] = "Publish"
	AttachShadow conduct.Call[control, activities.ShadowInput, conduct.None]               = "AttachShadow"
	DropShadow   conduct.Call[control, activities.ShadowInput, conduct.None]               = "DropShadow"

	Survey    conduct.Call[aside, activities.SurveyInput, []activities.Surveyed] = "Survey"
	Housekeep conduct.Call[aside, activities.HousekeepInput, conduct.None]       = "Housekeep"
	SetHold   conduct.Call[control, activities.HoldInput, []activities.Held]     = "SetHold"
	Deliver   conduct.Call[aside, activities.DeliverInput, activities.Delivered] = "Deliver"
	Announce                                                                     = conduct.Announce

	BeginTurnBack     conduct.Call[settling, activities.BeginInput, activities.Began]      = "BeginTurnBack"
	BeginCompensation conduct.Call[settling, activities.CompensateInput, activities.Began] = "BeginCompensation"
	BeginRecovery     conduct.Call[settling, activities.RecoverInput, activities.Began]    = "BeginRecovery"
	SwapPass          conduct.Call[swapping, activities.PassInput, activities.Pass]        = "SwapPass"
	RebuildPass       conduct.Call[building, activities.PassInput, activities.Pass]        = "RebuildPass"
	EndTurnBack       conduct.Call[settling, activities.EndInput, activities.Ended]        = "EndTurnBack"

	PlanAdoption  conduct.Call[observing, activities.AdoptInput, adoption.Plan]  = "PlanAdoption"
	ProveAdoption conduct.Call[altering, activities.AdoptInput, adoption.Result] = "ProveAdoption"
	AdoptTable    conduct.Call[altering, activities.AdoptInput, adoption.Result] = "AdoptTable"
	ReleaseTable  conduct.Call[swapping, activities.AdoptInput, adoption.Result] = "ReleaseTable"

	Due          conduct.Call[control, activities.DueInput, activities.Due]         = "Due"
	MissingFiles conduct.Call[control, activities.MissingInput, activities.Missing] = "MissingFiles"

	FindRemains conduct.Call[control, activities.RemainsInput, activities.Remains] = "FindRemains"

	MeasureBefore conduct.Call[observing, activities.Target, activities.WatchBaseline]       = "MeasureBefore"
	Look          conduct.Call[observing, activities.LookInput, activities.Look]             = "Look"
	Inspect       conduct.Call[control, activities.InspectInput, activities.InspectResult]   = "Inspect"
	Examine       conduct.Call[examining, activities.InspectInput, activities.InspectResult] = "Examine"
)

// Activities is the registry of activities: a worker binds each, on its queue, and no other; and which workflows call it.
func Activities() []conduct.Activity {
	return []conduct.Activity{
		BuildRelease.By(DeploymentName, RunName, PlanName, MigrationName), Attest.By(DeploymentName),
		Observe.By(DeploymentName, PlanName), Compute.By(DeploymentName, PlanName), ReadPlan.By(DeploymentName), Recheck.By(DeploymentName),
		ValidateRelease.By(DeploymentName, ValidationName), ValidateSource.By(ValidationName),
		BuildSlice.By(DeploymentName, RunName), ChooseBaseline.By(DeploymentName), CompareCanary.By(DeploymentName),
		Enter.By(DeploymentName, RunName), BeginWatch.By(DeploymentName), Leave.By(DeploymentName, RunName),
		RecordAnswers.By(DeploymentName, RunName, BackfillName, MigrationName, RollbackName, RecoveryName),
		PlanBackfill.By(BackfillName), BeginBackfill.By(BackfillName), FillSlice.By(BackfillName), CutBackfill.By(BackfillName), EndBackfill.By(BackfillName),
		PlanMigration.By(MigrationName), BeginMigration.By(MigrationName), EnterPhase.By(MigrationName), MigrationStep.By(MigrationName),
		FillTable.By(MigrationName), Ungiven.By(MigrationName), ProveMigration.By(MigrationName), MigrationBlockers.By(MigrationName), BrownOut.By(MigrationName), AckMigration.By(MigrationName),
		WithdrawAck.By(MigrationName),
		AttestMigration.By(MigrationName), EndMigration.By(MigrationName),
		Expand.By(DeploymentName, RunName), Publish.By(DeploymentName, RunName), AttachShadow.By(DeploymentName), DropShadow.By(DeploymentName),
		Survey.By(EnvironmentName), Housekeep.By(EnvironmentName), SetHold.By(HoldName),
		Announce.By(DeploymentName, RunName, ScheduledName, BackfillName, MigrationName, RollbackName, RecoveryName), Deliver.By(EnvironmentName),
		BeginTurnBack.By(RollbackName), BeginCompensation.By(DeploymentName), BeginRecovery.By(RecoveryName),
		SwapPass.By(DeploymentName, RollbackName, RecoveryName), RebuildPass.By(DeploymentName, RollbackName, RecoveryName),
		EndTurnBack.By(DeploymentName, RollbackName, RecoveryName), FindRemains.By(RecoveryName),
		PlanAdoption.By(AdoptionName), ProveAdoption.By(AdoptionName), AdoptTable.By(AdoptionName), ReleaseTable.By(AdoptionName),
		Due.By(ScheduledName), MissingFiles.By(ScheduledName),
		MeasureBefore.By(DeploymentName), Look.By(DeploymentName),
		Inspect.By(InspectionName, EnvironmentName), Examine.By(EnvironmentName),
	}
}

// Workflow is a workflow as the registry lists it.
type Workflow struct {
	Name string
	Func any
	// IDs are what the IDs of its workflows begin with; none: it only looks, under any ID.
	IDs []string
}

// Workflows is the registry of workflows: a worker, a replay and a test know them all from here.
func Workflows() []Workflow {
	return []Workflow{
		{DeploymentName, Deployment, []string{"deploy/"}},
		{RunName, Run, []string{"run/"}},
		{BackfillName, Backfill, []string{"backfill/", QuestionPrefix(BackfillPreview)}},
		{MigrationName, Migration, []string{"migrate/", QuestionPrefix(MigrationPreview)}},
		{RollbackName, Rollback, []string{"rollback/", QuestionPrefix(RollbackPreview)}},
		{RecoveryName, Recovery, []string{RecoveryID("")}},
		{PlanName, Plan, nil},
		{ValidationName, Validation, nil},
		{InspectionName, Inspection, nil},
		{EnvironmentName, Environment, []string{EnvironmentID("")}},
		{ScheduledName, Scheduled, []string{schedule.RunsPrefix}},
		{HoldName, Hold, []string{QuestionPrefix(HoldQuestion)}},
		{AdoptionName, Adoption, []string{QuestionPrefix(AdoptionQuestion), QuestionPrefix(AdoptionPreview)}},
	}
}

// Takes are the commands that workflows of a name obey; they refuse all others.
func Takes(name string) []conduct.Kind {
	switch name {
	case DeploymentName:
		return []conduct.Kind{conduct.Pause, conduct.Resume, conduct.Cancel, conduct.SetLanes}
	case RollbackName:
		return []conduct.Kind{conduct.Pause, conduct.Resume, conduct.Cancel}
	case BackfillName:
		return []conduct.Kind{conduct.Pause, conduct.Resume, conduct.Cancel, conduct.SetLanes, conduct.SetWindow, conduct.RetryFailed, conduct.Skip}
	case MigrationName:
		return []conduct.Kind{conduct.Pause, conduct.Resume, conduct.Cancel, conduct.SetLanes, conduct.SetWindow, conduct.Ack, conduct.Withdraw}
	case ScheduledName:
		return []conduct.Kind{conduct.Cancel}
	case RunName: // it is one partition, so there is no edge at which it could be held
		return []conduct.Kind{conduct.Cancel}
	}
	return nil
}

// MayCall refuses an activity to a workflow that the registry does not let call it: of another type, or under an ID that is none
// of that type's. What a caller says of itself is no matter here: type and ID are what the server knows.
func MayCall(activityName, workflowType, id string) error {
	for _, a := range Activities() {
		if a.Name != activityName || !slices.Contains(a.By, workflowType) {
			continue
		}
		for _, w := range Workflows() {
			if w.Name == workflowType && (len(w.IDs) == 0 || slices.ContainsFunc(w.IDs, func(prefix string) bool { return strings.HasPrefix(id, prefix) })) {
				return nil
			}
		}
	}
	return fault.Newf(fault.Refused, "call", activityName, "use the command that does it: drawbridge --help", "it is not for "+id+", a workflow of type "+workflowType)
}

// WorkflowRegistry is a worker, a replayer or a test environment.
type WorkflowRegistry interface {
	RegisterWorkflowWithOptions(f any, options workflow.RegisterOptions)
}

// RegisterWorkflows registers every workflow.
func RegisterWorkflows(r WorkflowRegistry) {
	for _, w := range Workflows() {
		r.RegisterWorkflowWithOptions(w.Func, workflow.RegisterOptions{Name: w.Name})
	}
}

// ActivityRegistry is a worker or a test environment.
type ActivityRegistry interface {
	RegisterActivityWithOptions(f any, options activity.RegisterOptions)
}

// RegisterActivities registers the activities of one queue. It refuses a set in which one is missing, bound twice or
// unknown to the registry: a workflow would wait for it for ever.
func RegisterActivities(r ActivityRegistry, queue conduct.Queue, bound []conduct.Bound) error {
	missing := map[string]bool{}
	for _, a := range Activities() {
		if a.Queue == queue {
			missing[a.Name] = true
		}
	}
	for _, b := range bound {
		if !missing[b.Name] || b.Queue != queue {
			return fault.Newf(fault.Invalid, "register activity", b.Name, "list it once in workflows.Activities", "the registry has no such activity on the queue "+string(queue)+", or it is bound twice")
		}
		delete(missing, b.Name)
		r.RegisterActivityWithOptions(b.Func, activity.RegisterOptions{Name: b.Name})
	}
	for _, name := range workflow.DeterministicKeys(missing) {
		return fault.Newf(fault.Invalid, "register activity", name, "bind it in the worker", "nothing does it")
	}
	return nil
}

// Search attributes, all of type Keyword.
const (
	PipelineAttribute    = conduct.PipelineAttribute
	EnvironmentAttribute = conduct.EnvironmentAttribute
	ReleaseAttribute     = conduct.ReleaseAttribute
	StageAttribute       = conduct.StageAttribute
	GateAttribute        = conduct.GateAttribute
)

// ScheduledAttributes are the search attributes that a scheduled run begins with.
func ScheduledAttributes(in schedule.Input) map[string]string {
	return map[string]string{
		PipelineAttribute: in.Pipeline, EnvironmentAttribute: in.Environment, ReleaseAttribute: in.Release.Version,
		StageAttribute: string(StagePlanning), GateAttribute: "",
	}
}

// Attributes lists the search attributes.
func Attributes() []string { return conduct.Attributes() }

// DeploymentID is the one deployment that a release may have at a time, by its version as people know it when the deployment
// starts: deploy/shop/1.4.0, or deploy/shop/1.4.0-0123abcd of a try. Other releases of the pipeline have their own.
func DeploymentID(pipeline, version string) string {
	return DeploymentsOf(pipeline) + release.Slug(version)
}

// DeploymentsOf is what the IDs of all deployments of a pipeline begin with.
func DeploymentsOf(pipeline string) string { return "deploy/" + pipeline + "/" }

// Deployed reads a deployment's ID: what DeploymentID made it of. ok is false for the ID of anything else.
func Deployed(id string) (pipeline, version string, ok bool) {
	rest, ok := strings.CutPrefix(id, "deploy/")
	if !ok {
		return "", "", false
	}
	pipeline, version, ok = strings.Cut(rest, "/")
	return pipeline, release.OfSlug(version), ok
}

// PipelineOf reads which pipeline a deployment, run, scheduled run, backfill, migration or rollback is about out of its ID; ok is false for the ID of anything else.
func PipelineOf(id string) (pipeline string, ok bool) {
	parts := strings.SplitN(id, "/", 3)
	if len(parts) < 3 || !slices.Contains([]string{"deploy", "run", "scheduled", "backfill", "migrate", "rollback"}, parts[0]) {
		return "", false
	}
	return parts[1], parts[1] != ""
}

// RunID is the one run that a partition may have at a time in an environment.
func RunID(pipeline, environment string, key partition.Key) string {
	return fmt.Sprintf("run/%s/%s/%s", pipeline, environment, key)
}

// BackfillID is the one backfill that a span may have at a time in an environment: the same command again is the same one.
func BackfillID(pipeline, environment string, from, to partition.Key) string {
	return fmt.Sprintf("backfill/%s/%s/%s..%s", pipeline, environment, from, to)
}

// Backfilled reads a backfill's ID: the pipeline and environment that BackfillID made it of. ok is false for the ID of anything else.
func Backfilled(id string) (pipeline, environment string, ok bool) {
	parts := strings.Split(id, "/")
	if len(parts) != 4 || parts[0] != "backfill" || parts[1] == "" || parts[2] == "" {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// MigrationID is the one start that a migration may have at a time in an environment: the same command again goes on with it.
func MigrationID(pipeline, environment, name string) string {
	return fmt.Sprintf("migrate/%s/%s/%s", pipeline, environment, name)
}

// Migrated reads a migration's ID: what MigrationID made it of. ok is false for the ID of anything else.
func Migrated(id string) (pipeline, environment, name string, ok bool) {
	parts := strings.Split(id, "/")
	if len(parts) != 4 || parts[0] != "migrate" || slices.Contains(parts, "") {
		return "", "", "", false
	}
	return parts[1], parts[2], parts[3], true
}

// RollbackID is the one rollback that a pipeline may have at a time in an environment.
func RollbackID(pipeline, environment string) string {
	return fmt.Sprintf("rollback/%s/%s", pipeline, environment)
}

// RecoveryID is the recovery of a workflow that ended without finishing.
func RecoveryID(workflowID string) string { return effect.RecoveryID(workflowID) }

// Recovered reads a recovery's ID: the ID of what it recovers. ok is false for the ID of anything else.
func Recovered(id string) (of string, ok bool) { return strings.CutPrefix(id, effect.RecoveryID("")) }

// EnvironmentID is the one workflow that answers questions about an environment.
func EnvironmentID(environment string) string { return "environment/" + environment }

// HoldQuestion is the kind of the question that changes something: it sets a hold, or releases it.
const HoldQuestion = "hold"

// HoldID is the one change of an environment's hold at a time: of two that are asked for at once, one comes after the other in
// every ledger.
func HoldID(environment string) string { return QuestionID(HoldQuestion, environment, "change") }

// AdoptionQuestion is the kind of the question that makes a table an output, or gives it back.
const AdoptionQuestion = "adopt"

// AdoptionPreview is the kind of the question what that would do.
const AdoptionPreview = "adopt-plan"

// AdoptionID is the one adoption, or release, that a table may have at a time in an environment.
func AdoptionID(pipeline, environment, table string) string {
	return QuestionID(AdoptionQuestion, pipeline, environment+"/"+table)
}

// BackfillPreview is the kind of the question what a backfill would do.
const BackfillPreview = "backfill-plan"

// MigrationPreview is the kind of the question what a migration would do.
const MigrationPreview = "migrate-plan"

// RollbackPreview is the kind of the question what a rollback would do.
const RollbackPreview = "preview"

// QuestionPrefix is what the IDs of all questions of a kind begin with.
func QuestionPrefix(kind string) string { return kind + "/" }

// QuestionID is a short workflow that only reads: plan, validate, or an inspection. The nonce keeps two askers apart.
func QuestionID(kind, pipeline, nonce string) string {
	return QuestionPrefix(kind) + pipeline + "/" + nonce
}
