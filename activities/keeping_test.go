package activities_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// street is the ledgers of an environment, as their server lists them. Each keeps a hold like a real one: once under its key.
type street struct {
	mu      sync.Mutex
	ledgers map[string]*ledger
	lost    error            // the server does not say which there are
	locked  map[string]error // ledgers that do not say whose they are
}

// ledger is one of them. What a test does not expect is a nil method and panics.
type ledger struct {
	activities.Warehouse
	street *street
	hold   *release.Hold
	done   map[effect.Key]*release.Hold
	away   error
	// meanwhile happens before the first change of a hold here, and turned is closed after it.
	meanwhile func()
	turned    chan struct{}
}

func (s *street) at(schema string) *ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ledgers == nil {
		s.ledgers = map[string]*ledger{}
	}
	if s.ledgers[schema] == nil {
		s.ledgers[schema] = &ledger{street: s, done: map[effect.Key]*release.Hold{}, turned: make(chan struct{})}
	}
	return s.ledgers[schema]
}

func (s *street) list(context.Context, string) ([]string, map[string]error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost != nil {
		return nil, nil, s.lost
	}
	return slices.Sorted(maps.Keys(s.ledgers)), s.locked, nil
}

func (s *street) held() (held []string) {
	for schema, l := range s.ledgers {
		if l.hold != nil {
			held = append(held, schema)
		}
	}
	slices.Sort(held)
	return held
}

// change does something once under a key, and says what it came to.
func (l *ledger) change(key effect.Key, do func() *release.Hold) (*release.Hold, error) {
	if before := l.meanwhile; before != nil {
		l.meanwhile = nil
		before()
	}
	l.street.mu.Lock()
	defer l.street.mu.Unlock()
	if came, again := l.done[key]; again || l.away != nil {
		return came, l.away
	}
	if len(l.done) == 0 {
		defer close(l.turned)
	}
	l.done[key] = do()
	return l.done[key], nil
}

func (l *ledger) Hold(_ context.Context, key effect.Key, by, reason string) (*release.Hold, error) {
	return l.change(key, func() *release.Hold {
		stood := l.hold
		if stood == nil {
			l.hold = &release.Hold{By: by, Reason: reason}
		}
		return stood
	})
}

func (l *ledger) ReleaseHold(_ context.Context, key effect.Key, _ string) (*release.Hold, error) {
	return l.change(key, func() *release.Hold {
		stood := l.hold
		l.hold = nil
		return stood
	})
}

func (l *ledger) Standing(context.Context) (release.Standing, error) {
	l.street.mu.Lock()
	defer l.street.mu.Unlock()
	return release.Standing{Environment: "prod", Hold: l.hold}, l.away
}

// site is the environment whose ledgers are in a street.
func (s *street) site() *activities.Site {
	return &activities.Site{
		Environment: "prod", Ledgers: s.list, Policy: pipeline.Policy{Connections: map[string]pipeline.Connection{"warehouse": {}}},
		Warehouse: func(_ context.Context, cfg pipeline.Config) (activities.Warehouse, error) {
			return s.at(cfg.WarehouseSchema), nil
		},
	}
}

func (s *street) ask(t *testing.T, release bool) []activities.Held {
	t.Helper()
	in := activities.HoldInput{Environment: "prod", By: "ann", Owner: owner, Release: release}
	if !release {
		in.Reason = "quarter end"
	}
	held, err := call(t, (&activities.Keeping{Site: s.site()}).Hold, in)
	require.Nil(t, err)
	return held
}

// A ledger that comes while a hold is set was not there to be held; it is found by the last look.
func TestAHoldIsAlsoInLedgersThatComeWhileItIsSet(t *testing.T) {
	t.Parallel()
	s := &street{}
	s.at("first").meanwhile = func() { s.at("later") }
	require.Len(t, s.ask(t, false), 2)
	require.Equal(t, []string{"first", "later"}, s.held())
}

// A ledger that has looked before the others were released takes the hold over after its own turn.
func TestAReleaseEndsWhatWasTakenOverMeanwhile(t *testing.T) {
	t.Parallel()
	s := &street{}
	first, joins := s.at("first"), s.at("joins")
	first.hold = &release.Hold{Reason: "quarter end"}
	first.meanwhile = func() {
		<-joins.turned
		joins.hold = first.hold
	}
	s.ask(t, true)
	require.Empty(t, s.held())
}

// Whoever asks has to learn what their hold met, and what their release ended, ledger by ledger.
func TestAHoldAndAReleaseNameTheHoldThatStood(t *testing.T) {
	t.Parallel()
	ben := &release.Hold{By: "ben", Reason: "lunch"}
	for name, release := range map[string]bool{"a hold": false, "a release": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &street{}
			s.at("first").hold = ben
			s.at("second")
			for range 2 { // twice is once
				held := s.ask(t, release)
				require.Len(t, held, 2)
				require.Equal(t, ben, held[0].Stood)
				require.Nil(t, held[1].Stood)
			}
			if release {
				require.Empty(t, s.held())
				return
			}
			require.Equal(t, ben, s.at("first").hold, "it stays")
			require.Equal(t, []string{"first", "second"}, s.held())
		})
	}
}

func TestAHoldNamesTheLedgersThatItIsNotIn(t *testing.T) {
	t.Parallel()
	s := &street{}
	s.at("first")
	s.at("gone").away = errors.New("it does not answer")
	held := s.ask(t, false)
	require.Len(t, held, 2)
	require.Empty(t, held[0].Unreached)
	require.Equal(t, "gone", held[1].House.Schema)
	require.Contains(t, held[1].Unreached, "does not answer")
	s.locked = map[string]error{"locked": errors.New("its ledger is locked")}
	held = s.ask(t, false)
	require.Len(t, held, 3)
	require.Empty(t, held[0].Unreached, "the others have it")
	require.Equal(t, "locked (warehouse)", held[2].House.String(), "only that one has not, and is named")
	require.Contains(t, held[2].Unreached, "is locked")
	s.lost = errors.New("nobody listens")
	held = s.ask(t, false)
	require.Len(t, held, 1)
	require.Equal(t, "connection warehouse", held[0].House.String())
	require.Contains(t, held[0].Unreached, "nobody listens")
}

// newcomer is a desk in whose ledger nothing stands yet.
type newcomer struct {
	*desk
	took *release.Hold
}

func (n *newcomer) Standing(context.Context) (release.Standing, error) {
	return release.Standing{}, nil
}

func (n *newcomer) Join(ctx context.Context, _ effect.Key, elsewhere func(context.Context) (*release.Hold, error)) (err error) {
	n.took, err = elsewhere(ctx)
	return err
}

func TestALedgerThatJoinsTakesOverWhatStandsInTheOthers(t *testing.T) {
	t.Parallel()
	hold := &release.Hold{By: "ann", Reason: "quarter end"}
	away, never := errors.New("it does not answer"), fault.Newf(fault.Invalid, "log in", "warehouse", "correct the password", "it is wrong")
	for name, c := range map[string]struct {
		others map[string]ledger
		lost   error
		takes  bool
		fails  string
	}{
		"the first one finds nothing":                        {},
		"one that stands":                                    {others: map[string]ledger{"a": {}, "b": {hold: hold}}, takes: true},
		"none that stands":                                   {others: map[string]ledger{"a": {}, "b": {}}},
		"one that stands where another does not answer":      {others: map[string]ledger{"a": {away: away}, "b": {hold: hold}}, takes: true},
		"none that stands where another does not answer":     {others: map[string]ledger{"a": {away: away}, "b": {}}},
		"it does not go on where no other one answers":       {others: map[string]ledger{"a": {away: away}}, fails: "whether prod is on hold"},
		"it does not go on where the server does not say":    {lost: away, fails: "whether prod is on hold"},
		"one that can never be reached keeps nobody waiting": {others: map[string]ledger{"a": {away: never}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := setup(t), &street{lost: c.lost}
			for schema, l := range c.others {
				at := s.at(schema)
				at.hold, at.away = l.hold, l.away
			}
			b.looked()
			n := &newcomer{desk: b.desk}
			b.Ledgers, b.Policy.Connections = s.list, s.site().Policy.Connections
			b.Warehouse = func(_ context.Context, cfg pipeline.Config) (activities.Warehouse, error) {
				if cfg.WarehouseSchema == "shop_prod" {
					return n, nil
				}
				return s.at(cfg.WarehouseSchema), nil
			}
			_, err := call(t, (&activities.Admitting{Site: b.Site}).Enter, activities.EnterInput{Target: target("prod"), Kind: release.ByRun, By: "ann"})
			if c.fails != "" {
				require.NotNil(t, err)
				require.ErrorContains(t, err, c.fails)
				require.Empty(t, b.desk.entered)
				return
			}
			require.Nil(t, err)
			require.NotEmpty(t, b.desk.entered)
			require.Equal(t, c.takes, n.took != nil)
		})
	}
}
