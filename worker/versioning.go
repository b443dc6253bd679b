package main

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"drawbridge/internal/fault"
)

// The environment variables by which Temporal's tools name a worker's version.
const (
	deploymentName = "TEMPORAL_DEPLOYMENT_NAME"
	buildID        = "TEMPORAL_WORKER_BUILD_ID"
)

// versioned says which version of which worker deployment this process is. With both variables set the server gives it no
// task before somebody has made the version current, so that a build that does not fit is stopped before it touches a
// workflow. With none it is not versioned.
//
// Workflows move on to the version that is current: a deployment watches for days and a gate waits for weeks, while its worker
// should be replaced at once. Every release replays the histories of those before it, so it can take over what they began.
func versioned(lookup func(string) string) (worker.DeploymentOptions, error) {
	name, build := lookup(deploymentName), lookup(buildID)
	switch {
	case name == "" && build == "":
		return worker.DeploymentOptions{}, nil
	case name == "" || build == "":
		return worker.DeploymentOptions{}, fault.Newf(fault.Invalid, "start worker", "",
			"set both of "+deploymentName+" and "+buildID+", or none", "only half of its version is named")
	}
	return worker.DeploymentOptions{
		UseVersioning:             true,
		Version:                   worker.WorkerDeploymentVersion{DeploymentName: name, BuildID: build},
		DefaultVersioningBehavior: workflow.VersioningBehaviorAutoUpgrade,
	}, nil
}
