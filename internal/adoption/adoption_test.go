package adoption_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/adoption"
)

func TestAPlanThatTravelsIsBoundedAndSaysHowMuchItLeavesOut(t *testing.T) {
	t.Parallel()
	var p adoption.Plan
	require.Equal(t, p, p.Bounded(), "what is short stays as it is")
	for i := range 1000 {
		p.Views = append(p.Views, fmt.Sprintf("shop.v%d", i))
		p.Refusals = append(p.Refusals, adoption.Refusal{Rule: "trigger", Text: fmt.Sprintf("trigger t%d", i), Remedy: "drop it"})
	}
	bounded := p.Bounded()
	require.Len(t, bounded.Views, 201)
	require.Equal(t, "800 more", bounded.Views[200])
	require.Len(t, bounded.Refusals, 201)
	require.Contains(t, bounded.Refused(), "800 more things")
	require.Len(t, p.Views, 1000, "the plan itself is not changed")
}

func TestARemedyIsSaidOnce(t *testing.T) {
	t.Parallel()
	p := adoption.Plan{Refusals: []adoption.Refusal{{Text: "a", Remedy: "drop it"}, {Text: "b", Remedy: "drop it"}, {Text: "c", Remedy: "keep it"}}}
	require.Equal(t, "a; b; c", p.Refused())
	require.Equal(t, "drop it; keep it", p.Remedy())
}
