package workflows

import (
	"fmt"

	"drawbridge/internal/partition"
)

// Names on the wire. A running workflow may use any of them: none is ever renamed.
const (
	// Queue is the task queue of the workflows, served only by workers started with --workflows.
	Queue = "drawbridge"

	DeploymentName = "drawbridge.Deployment"
	RunName        = "drawbridge.Run"
	RollbackName   = "drawbridge.Rollback"
	RecoveryName   = "drawbridge.Recovery"
	PlanName       = "drawbridge.Plan"
	ValidationName = "drawbridge.Validation"
	InspectionName = "drawbridge.Inspection"

	// StatusQuery answers a Status.
	StatusQuery = "status"
	// Decide is an update (answers at once) and a signal (durable, also from the Web UI): a gate.Decision.
	Decide = "decide"
	// Supersede is an update that ends a deployment that is only watching: a SupersedeInput.
	Supersede = "supersede"
)

// Search attributes, all of type Keyword. Where they are not registered, workflows run without them.
const (
	PipelineAttribute    = "DrawbridgePipeline"
	EnvironmentAttribute = "DrawbridgeEnvironment"
	ReleaseAttribute     = "DrawbridgeRelease"
	StageAttribute       = "DrawbridgeStage"
	GateAttribute        = "DrawbridgeGate"
)

// Attributes lists the search attributes.
func Attributes() []string {
	return []string{PipelineAttribute, EnvironmentAttribute, ReleaseAttribute, StageAttribute, GateAttribute}
}

// DeploymentID is the one deployment that a pipeline may have at a time.
func DeploymentID(pipeline string) string { return "deploy/" + pipeline }

// RunID is the one run that a partition may have at a time in an environment.
func RunID(pipeline, environment string, key partition.Key) string {
	return fmt.Sprintf("run/%s/%s/%s", pipeline, environment, key)
}

// RollbackID is the one rollback that a pipeline may have at a time in an environment.
func RollbackID(pipeline, environment string) string {
	return fmt.Sprintf("rollback/%s/%s", pipeline, environment)
}

// RecoveryID is the recovery of a workflow that ended without finishing.
func RecoveryID(workflowID string) string { return "recover/" + workflowID }

// QuestionID is a short workflow that only reads: plan, validate, or an inspection. The nonce keeps two askers apart.
func QuestionID(kind, pipeline, nonce string) string {
	return fmt.Sprintf("%s/%s/%s", kind, pipeline, nonce)
}
