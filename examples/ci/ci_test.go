// Package ci_test runs the scripts of the example workflow with a command line in drawbridge's place that ends as told.
package ci_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

type workflow struct {
	Jobs map[string]struct {
		Steps []step `yaml:"steps"`
	} `yaml:"jobs"`
}

type step struct {
	Name string `yaml:"name"`
	Uses string `yaml:"uses"`
	Run  string `yaml:"run"`
}

func read(t *testing.T) workflow {
	t.Helper()
	body, err := os.ReadFile("github-actions.yml")
	require.NoError(t, err)
	var w workflow
	require.NoError(t, yaml.Unmarshal(body, &w))
	require.Len(t, w.Jobs, 2)
	return w
}

func script(t *testing.T, job, name string) string {
	t.Helper()
	for _, s := range read(t).Jobs[job].Steps {
		if s.Name == name {
			return s.Run
		}
	}
	require.Fail(t, "there is no step "+name)
	return ""
}

// run runs a step as the runner does, beside a pipeline of version 1.1.0, and returns its exit code.
func run(t *testing.T, script, tag string, ends int) (code int, output string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "shop"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shop", "pipeline.yaml"), []byte("name: shop\nversion: 1.1.0\n"), 0o644))
	ending := fmt.Sprintf("#!/bin/sh\nexit %d\n", ends)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "drawbridge"), []byte(ending), 0o755))
	cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "TAG="+tag, "RUNNER_TEMP="+dir,
		"GITHUB_OUTPUT="+filepath.Join(dir, "output"), "GITHUB_STEP_SUMMARY="+filepath.Join(dir, "summary"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		var exited *exec.ExitError
		require.ErrorAs(t, err, &exited)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestWaitingForAPersonIsNoFailure(t *testing.T) {
	t.Parallel()
	deploy := script(t, "deploy", "Deploy")
	for ends, want := range map[int]int{0: 0, 1: 1, 2: 1, 3: 1, 4: 0} {
		code, out := run(t, deploy, "shop-1.1.0", ends)
		require.Equal(t, want, code, "drawbridge ended with %d: %s", ends, out)
		require.Contains(t, out, "::", "it says what became of the tag")
	}
}

func TestATagThatIsNotTheVersionIsRefused(t *testing.T) {
	t.Parallel()
	code, out := run(t, script(t, "deploy", "Deploy"), "shop-1.2.0", 0)
	require.Equal(t, 1, code)
	require.Contains(t, out, "is not the version")
}

func TestAPlanThatCannotBeDeployedIsPostedFirst(t *testing.T) {
	t.Parallel()
	plan := script(t, "plan", "Plan")
	for ends, want := range map[int]int{0: 0, 1: 1, 2: 0} {
		code, out := run(t, plan, "", ends)
		require.Equal(t, want, code, "drawbridge ended with %d: %s", ends, out)
	}
}

func TestActionsArePinned(t *testing.T) {
	t.Parallel()
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+@[0-9a-f]{40}$`)
	for name, job := range read(t).Jobs {
		for _, s := range job.Steps {
			if s.Uses != "" {
				require.Regexp(t, pinned, s.Uses, name)
			}
		}
	}
}
