package lint_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/lint"
	"drawbridge/internal/pipeline"
)

// example reads testdata/<rule>/<name>.sql as the rule's subject.
func example(t *testing.T, r lint.Rule, name string) (text string, report lint.Report) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", r.Name, name+".sql"))
	require.NoError(t, err, "every rule has an example of each kind")
	if r.Of == lint.Queries {
		return string(body), lint.Query(name+".sql", string(body), nil)
	}
	return string(body), lint.Migration(name+".sql", string(body), lint.Options{})
}

// The lines of a bad example that end in "-- here" are where the rule has to find something, and nowhere else.
func TestEveryRuleFindsWhatIsBadAndOnlyThat(t *testing.T) {
	t.Parallel()
	for _, r := range lint.Rules() {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			text, report := example(t, r, "bad")
			require.Empty(t, report.Problems)
			var want, got []int
			for i, line := range strings.Split(text, "\n") {
				if strings.HasSuffix(line, "-- here") || r.Name == "ignore-without-reason" && strings.HasPrefix(line, "-- ") {
					want = append(want, i+1)
				}
			}
			for _, f := range report.Findings {
				if f.Rule == r.Name {
					require.Equal(t, r.Severity, f.Severity)
					require.Contains(t, f.Text, r.Why)
					require.Equal(t, r.Instead, f.Instead)
					got = append(got, f.Line)
				}
			}
			require.NotEmpty(t, want)
			require.Equal(t, want, slices.Compact(got))
		})
	}
}

// A good example is what a rule proposes: no rule finds anything in it.
func TestNoRuleFindsAnythingInWhatIsGood(t *testing.T) {
	t.Parallel()
	for _, r := range lint.Rules() {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			_, report := example(t, r, "good")
			require.Empty(t, report.Problems)
			require.Empty(t, report.Findings)
		})
	}
}

func TestRulesSayWhatTheySeeWhyAndWhatToWrite(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, r := range lint.Rules() {
		require.False(t, names[r.Name] || r.Alias != "" && names[r.Alias], "%s is there twice", r.Name)
		names[r.Name] = true
		names[r.Alias] = r.Alias != ""
		require.Contains(t, lint.Severities(), r.Severity)
		require.NotEmpty(t, r.Sees)
		require.True(t, strings.HasSuffix(r.Why, "."), r.Name)
		require.True(t, strings.HasSuffix(r.Instead, "."), r.Name)
		require.NotContains(t, r.Sees+r.Why+r.Instead, "|", "they stand in a table")
	}
	entries, err := os.ReadDir("testdata")
	require.NoError(t, err)
	for _, e := range entries {
		require.True(t, !e.IsDir() || names[e.Name()], "no rule is called %s", e.Name())
	}
}

// An output can silence each rule that looks at it, and no other.
func TestThePipelineSilencesTheRulesOfQueries(t *testing.T) {
	t.Parallel()
	var silenced, rules []string
	for key := range pipeline.SchemaKeys(pipeline.PipelineDocument) {
		if name, ok := strings.CutPrefix(key.Path, "outputs[].lint."); ok {
			silenced = append(silenced, name)
		}
	}
	for _, r := range lint.Rules() {
		if r.Of == lint.Queries {
			rules = append(rules, r.Name)
		}
	}
	require.Equal(t, rules, silenced)
}
