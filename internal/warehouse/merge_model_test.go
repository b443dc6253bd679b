package warehouse_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/warehouse"
)

// sequences is how many are tried; DRAWBRIDGE_SOAK=1 tries ten times as many.
const sequences = 50

// Any sequence of runs, runs again, crashes, rivals and rollbacks leaves the table equal to a map of rows, in every write mode.
func TestAnySequenceLeavesTheTableEqualToAMap(t *testing.T) {
	t.Parallel()
	n := sequences
	if os.Getenv("DRAWBRIDGE_SOAK") == "1" {
		n *= 10
	}
	for seed := range n {
		t.Run(fmt.Sprintf("sequence %d", seed), func(t *testing.T) {
			t.Parallel()
			s := stories().Example(seed)
			t.Logf("%+v", s)
			w := wanted{bundle: setup(t), story: s, table: map[int]line{}, batches: map[string]bool{}}
			for _, step := range s.Steps {
				w.step(t, step)
				if len(w.past) > 0 { // there is a table
					require.ElementsMatch(t, w.lines(), w.rows(t), "after %+v", step)
				}
			}
		})
	}
}

// line is one row of a file, and of the table. An amount of -1 is none.
type line struct {
	ID      int
	Channel string
	Amount  int
}

func (l line) String() string {
	if l.Amount < 0 {
		return fmt.Sprintf("%d,%s", l.ID, l.Channel)
	}
	return fmt.Sprintf("%d,%s,%d", l.ID, l.Channel, l.Amount)
}

// The steps of a story.
const (
	runs      = "run"       // a batch is built and published
	repeats   = "repeat"    // the file of the run before comes once more
	crashes   = "crash"     // a build loses its session, and is tried again
	unheard   = "unheard"   // a publish is asked for again, because its answer was lost
	overtaken = "overtaken" // another run publishes between the build and the publish
	rollsBack = "roll back" // the table goes back to an earlier generation
)

type act struct {
	Kind  string
	Lines []line
	Rival line // where a run is overtaken
	Back  int  // which of the earlier generations it goes back to
}

// story is a pipeline in an environment, and what happens to it.
type story struct {
	Mode      pipeline.WriteMode
	Versioned bool
	Deletes   bool
	Steps     []act
}

func stories() *rapid.Generator[story] {
	one := rapid.Custom(func(t *rapid.T) line {
		return line{
			ID: rapid.IntRange(1, 6).Draw(t, "id"), Amount: rapid.IntRange(-1, 3).Draw(t, "amount"),
			Channel: rapid.SampledFrom([]string{"web", "shop", "cancelled"}).Draw(t, "channel"),
		}
	})
	return rapid.Custom(func(t *rapid.T) story {
		s := story{Mode: rapid.SampledFrom([]pipeline.WriteMode{pipeline.Replace, pipeline.Merge, pipeline.Merge, pipeline.Append}).Draw(t, "mode")}
		if s.Mode == pipeline.Merge {
			s.Versioned, s.Deletes = rapid.Bool().Draw(t, "versioned"), rapid.Bool().Draw(t, "deletes")
		}
		lines := rapid.SliceOfN(one, 1, 4)
		if !s.Versioned {
			lines = rapid.SliceOfNDistinct(one, 1, 4, func(l line) int { return l.ID })
		}
		s.Steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) act {
			return act{
				Kind:  rapid.SampledFrom([]string{runs, runs, repeats, crashes, unheard, overtaken, rollsBack, rollsBack}).Draw(t, "kind"),
				Lines: lines.Draw(t, "lines"), Rival: one.Draw(t, "rival"), Back: rapid.IntRange(0, 5).Draw(t, "back"),
			}
		}), 3, 7).Draw(t, "steps")
		return s
	})
}

// wanted is what the table has to hold, beside the table.
type wanted struct {
	*bundle
	story
	table   map[int]line
	batches map[string]bool
	past    []chapter
	last    []line // the file of the run before
}

// chapter is what the table held when a generation was live.
type chapter struct {
	generation generation.Generation
	table      map[int]line
	batches    map[string]bool
}

func (w *wanted) lines() []string {
	out := make([]string, 0, len(w.table))
	for _, l := range w.table {
		out = append(out, l.String())
	}
	return out
}

func (w *wanted) pipeline() *pipeline.Pipeline {
	p := writing(w.Mode)
	if w.Versioned {
		p = versioned(p)
	}
	if w.Deletes {
		p = deleting(p)
	}
	return p
}

// errAmbiguous is that nothing says which of two rows of a key counts.
var errAmbiguous = errors.New("ambiguous")

// after is what a batch makes of the table.
func (w *wanted) after(batch []line) (map[int]line, map[string]bool, error) {
	table, batches := maps.Clone(w.table), maps.Clone(w.batches)
	name := fmt.Sprint(batch)
	switch w.Mode {
	case pipeline.Replace:
		table = map[int]line{}
	case pipeline.Append:
		if batches[name] {
			return table, batches, nil
		}
		batches[name] = true
	case pipeline.Merge:
		newest := map[int][]line{}
		for _, l := range batch {
			switch of := newest[l.ID]; {
			case len(of) == 0, w.Versioned && l.Amount > of[0].Amount:
				newest[l.ID] = []line{l}
			case !w.Versioned || l.Amount == of[0].Amount:
				newest[l.ID] = append(of, l)
			}
		}
		for id, of := range newest {
			was, there := table[id]
			switch {
			case len(of) > 1:
				return nil, nil, errAmbiguous
			case there && w.Versioned && was.Amount > of[0].Amount:
			case w.Deletes && of[0].Channel == "cancelled":
				delete(table, id)
			default:
				table[id] = of[0]
			}
		}
		return table, batches, nil
	}
	for _, l := range batch {
		if _, there := table[l.ID]; there {
			return nil, nil, errAmbiguous
		}
		table[l.ID] = l
	}
	return table, batches, nil
}

func (w *wanted) step(t *testing.T, a act) {
	t.Helper()
	switch a.Kind {
	case rollsBack:
		w.rollsBack(t, a.Back)
		return
	case repeats:
		if w.last != nil {
			a.Lines = w.last
		}
	}
	w.last = a.Lines
	spec := w.spec(w.pipeline(), newYear)
	w.write(a.Lines)
	if a.Kind == crashes {
		w.crash(t, spec)
	}
	built, err := w.Build(t.Context(), spec)
	if !w.holds(t, a.Lines, err) {
		return
	}
	w.expand(t, spec.Pipeline)
	if a.Kind == overtaken && w.rivals(t, a.Rival) {
		result, err := w.attempt(t.Context(), w.patient(swap(built[0].Generation, built[0].From)), beat)
		require.NoError(t, err)
		require.Equal(t, generation.ForOthers, result.WaitingFor)
		w.write(a.Lines)
		spec.Key = w.key()
		built, err = w.Build(t.Context(), spec)
		if !w.holds(t, a.Lines, err) {
			return
		}
	}
	publish := w.patient(swap(built[0].Generation, built[0].From))
	w.done(t, publish)
	if a.Kind == unheard {
		w.done(t, publish)
	}
	w.became(a.Lines, built[0])
}

// holds requires of a build what the map says of its batch, and says whether there is something to publish.
func (w *wanted) holds(t *testing.T, batch []line, err error) bool {
	t.Helper()
	if _, _, ambiguous := w.after(batch); ambiguous != nil {
		require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
		return false
	}
	require.NoError(t, err)
	return true
}

func (w *wanted) write(batch []line) {
	rows := make([]string, len(batch))
	for i, l := range batch {
		if rows[i] = l.String(); l.Amount < 0 {
			rows[i] += ","
		}
	}
	w.file(newYear, rows...)
}

func (w *wanted) became(batch []line, built warehouse.BuiltOutput) {
	w.table, w.batches, _ = w.after(batch)
	w.past = append(w.past, chapter{built.Generation, w.table, w.batches})
}

// crash lets an attempt of a build lose its session where its rows are written, and some of them are.
func (w *wanted) crash(t *testing.T, spec warehouse.BuildSpec) {
	t.Helper()
	spec.Progress = func(p warehouse.Progress) {
		if p.Stage == warehouse.StageTransform && p.Done {
			_, err := w.db.Pool.Exec(t.Context(), `SELECT pg_terminate_backend(backend_pid) FROM `+w.db.Schema+`__ledger.generation WHERE state = 'building'`)
			require.NoError(t, err)
		}
	}
	_, err := w.Build(t.Context(), spec)
	if err != nil && fault.ClassOf(err) == "" {
		return // the session is lost
	}
	w.holds(t, w.last, err)
}

// rivals lets another run publish one row; it says whether it could.
func (w *wanted) rivals(t *testing.T, l line) bool {
	t.Helper()
	batch := []line{l}
	w.write(batch)
	built, err := w.Build(t.Context(), w.spec(w.pipeline(), newYear))
	if !w.holds(t, batch, err) {
		return false
	}
	w.publish(t, swap(built[0].Generation, built[0].From))
	w.became(batch, built[0])
	return true
}

// rollsBack goes back to an earlier generation than the one that is live, where there is one.
func (w *wanted) rollsBack(t *testing.T, n int) {
	t.Helper()
	live, _, err := w.Live(t.Context(), "fct_orders", newYear)
	require.NoError(t, err)
	var earlier []chapter
	for _, m := range w.past {
		if m.generation.ID != live {
			earlier = append(earlier, m)
		}
	}
	if len(earlier) == 0 {
		return
	}
	to := earlier[n%len(earlier)]
	w.goBack(t, to.generation)
	w.table, w.batches = to.table, to.batches
}
