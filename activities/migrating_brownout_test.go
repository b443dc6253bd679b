package activities_test

import (
	"cmp"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/migrate"
)

// brownsOut gives the plan a brownout of ten minutes, in its window of an hour.
func (m *migrated) brownsOut(b *bundle) {
	m.of(b, func(p *migrate.Plan) { p.Brownout = &migrate.Brownout{For: 10 * time.Minute, Columns: p.Old} })
}

func TestABrownoutBeginsInTheLastStretchOfTheWindowWhileNobodyIsInTheWay(t *testing.T) {
	t.Parallel()
	ready := []migrate.Ack{{Consumer: "bi", By: "bob", At: opened()}}
	for name, c := range map[string]struct {
		acks    []migrate.Ack
		since   time.Duration // of its window
		readers []migrate.Reader
		odd     []string
		held    string
		phase   migrate.Phase
		blocked []string
		says    string
		begins  bool
	}{
		"all is well":                    {acks: ready, since: 50 * time.Minute, begins: true},
		"its window is over":             {acks: ready, since: 3 * time.Hour, begins: true},
		"it is early":                    {acks: ready, since: 49 * time.Minute, blocked: []string{"the brownout begins at 2026-01-31T12:01:00Z at the earliest"}},
		"bi is not ready":                {since: 50 * time.Minute, blocked: []string{"bi has not said that it is ready"}},
		"a view reads it":                {acks: ready, since: time.Hour, readers: []migrate.Reader{{Column: "chan", Kind: "view", Name: "daily"}}, blocked: []string{"the view daily reads chan (let it read channel instead)"}},
		"rights could not be given back": {acks: ready, since: time.Hour, odd: []string{"crm has it of bi"}, blocked: []string{"crm has it of bi"}},
		"it is on hold":                  {acks: ready, since: time.Hour, held: "an incident"},
		"its window has not begun":       {acks: ready, since: time.Hour, phase: migrate.Switch, says: "its deprecation window has not begun"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, m, b, _ := migrating(t)
			m.brownsOut(b)
			m.standing.Phase, m.standing.PhaseSince, m.standing.Acks = cmp.Or(c.phase, migrate.Deprecating), opened().Add(-c.since), c.acks
			m.readers, m.odd, m.held = c.readers, c.odd, c.held
			got, err := call(t, a.Brownout, activities.BrownoutInput{Target: target("prod"), On: true})
			if c.says != "" {
				require.NotNil(t, err)
				require.Contains(t, err.Message(), c.says)
			} else {
				require.Nil(t, err)
				require.Equal(t, c.blocked, got.Blocked)
				require.Equal(t, c.held, got.Held)
			}
			require.Equal(t, c.begins, len(m.dark) == 1)
			m.held = "an incident"
			m.dark = nil
			_, err = call(t, a.Brownout, activities.BrownoutInput{Target: target("prod")})
			require.Nil(t, err)
			require.Len(t, m.dark, 1, "it ends whenever that is asked for")
		})
	}
}

// Whoever has a brownout ended before it begins has not ended it: what a worker does at its end is another effect, and the same one twice is once.
func TestAnEndThatWasAskedForBeforeABrownoutBeganDoesNotStandForItsEnd(t *testing.T) {
	t.Parallel()
	a, m, b, _ := migrating(t)
	m.brownsOut(b)
	m.standing.Phase = migrate.Deprecating
	ends := func() string {
		m.dark = nil
		_, err := call(t, a.Brownout, activities.BrownoutInput{Target: target("prod"), Round: 1})
		require.Nil(t, err)
		require.Len(t, m.dark, 1)
		return m.dark[0].Key.String()
	}
	early := ends()
	m.standing.Brownout = migrate.Tried{Since: opened()}
	first := ends()
	require.NotEqual(t, early, first)
	m.standing.Brownout.Until = opened().Add(time.Minute)
	require.Equal(t, first, ends(), "the answer was lost, and it is asked for again")
	m.standing.Brownout = migrate.Tried{Since: opened().Add(time.Millisecond)}
	require.NotEqual(t, first, ends())
}

// Somebody has terminated its workflow: nobody is refused for longer than was planned, and a minute.
func TestHousekeepingEndsABrownoutThatIsOverdue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		on    time.Duration
		ended int
	}{"it is overdue": {12 * time.Minute, 1}, "its workflow ends it": {10 * time.Minute, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, m, b, _ := migrating(t)
			m.brownsOut(b)
			m.standing.Phase, m.standing.Brownout = migrate.Deprecating, migrate.Tried{Since: time.Now().Add(-c.on)}
			m.facts.Environment = "prod"
			_, err := call(t, func(ctx context.Context, in activities.HousekeepInput) (struct{}, error) {
				return struct{}{}, (&activities.Keeping{Site: a.Site}).Housekeep(ctx, in)
			}, activities.HousekeepInput{Environment: "prod", Owner: owner})
			require.Nil(t, err)
			require.Len(t, m.dark, c.ended)
			for _, spec := range m.dark {
				require.False(t, spec.On)
				require.Equal(t, m.standing.Owner, spec.Owner)
			}
		})
	}
}

func TestABrownoutThatCannotBeEndedKeepsNobodysHouseFromBeingKept(t *testing.T) {
	t.Parallel()
	a, m, b, _ := migrating(t)
	m.brownsOut(b)
	m.standing.Phase, m.standing.Brownout = migrate.Deprecating, migrate.Tried{Since: time.Now().Add(-time.Hour)}
	m.facts.Environment, m.dropped = "prod", errors.New("there is no such table any more")
	_, err := call(t, func(ctx context.Context, in activities.HousekeepInput) (struct{}, error) {
		return struct{}{}, (&activities.Keeping{Site: a.Site}).Housekeep(ctx, in)
	}, activities.HousekeepInput{Environment: "prod", Owner: owner})
	require.NotNil(t, err)
	require.Contains(t, err.Message(), "there is no such table any more")
	require.True(t, m.housed)
}

func TestContractWaitsForItsBrownout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tried   migrate.Tried
		blocked []string
	}{
		"none was held":          {migrate.Tried{}, []string{"its brownout, of 10m0s, has not been held"}},
		"it was ended too early": {migrate.Tried{Since: opened().Add(-time.Hour), Until: opened().Add(-55 * time.Minute)}, []string{"its brownout, of 10m0s, has not been held"}},
		"it is on":               {migrate.Tried{Since: opened()}, []string{"its brownout is on until 2026-01-31T12:10:00Z"}},
		"it was held to its end": {migrate.Tried{Since: opened().Add(-time.Hour), Until: opened().Add(-time.Minute), Held: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, m, b, _ := migrating(t)
			m.brownsOut(b)
			m.standing.Phase, m.standing.PhaseSince, m.standing.Brownout = migrate.Deprecating, opened().Add(-3*time.Hour), c.tried
			m.standing.Acks = []migrate.Ack{{Consumer: "bi", By: "bob", At: opened()}}
			m.said = append(m.said, saidYes("contract-prod", m.standing.Plan, opened()))
			got, err := call(t, a.EnterPhase, activities.EnterPhaseInput{Target: target("prod"), Phase: migrate.Contract})
			require.Nil(t, err)
			require.Equal(t, c.blocked, got.Blocked)
			require.Equal(t, c.blocked == nil, got.Entered)
		})
	}
}
