package turnback_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/turnback"
)

// A partition whose outputs go back to what an earlier turn-back had left is counted once, and only where it went.
func TestWhatATurnBackHadLeftIsCounted(t *testing.T) {
	t.Parallel()
	d := turnback.Decision{Action: turnback.SwapBack, Items: []turnback.Item{
		{Action: turnback.SwapBack, To: 1, Remnant: true}, {Action: turnback.SwapBack, To: 2, Remnant: true},
	}}
	one := turnback.Tally{}.Add(d, true)
	require.Equal(t, 1, one.Remnants)
	require.Zero(t, turnback.Tally{}.Add(d, false).Remnants)
	require.Equal(t, 2, one.Plus(one).Remnants)
}

func TestEnd(t *testing.T) {
	t.Parallel()
	decided := func(items ...turnback.Item) turnback.Decision {
		d := turnback.Decision{Action: turnback.Keep, Items: items}
		for _, it := range items {
			if it.Action != turnback.Keep && (d.Action == turnback.Keep || it.Action != turnback.Leave) {
				d.Action = it.Action
			}
		}
		return d
	}
	kept := decided(turnback.Item{Action: turnback.Keep})
	left := decided(turnback.Item{Action: turnback.Leave})
	open := decided(turnback.Item{Action: turnback.Leave, Open: true})
	back := decided(turnback.Item{Action: turnback.SwapBack, To: 1})
	half := decided(turnback.Item{Action: turnback.SwapBack, To: 1}, turnback.Item{Action: turnback.Leave, Open: true})
	type row struct {
		d     turnback.Decision
		moved bool
	}
	cases := map[string]struct {
		flipped, stopped bool
		rows             []row
		expected         turnback.State
	}{
		"nothing to do":                                {expected: turnback.Done},
		"all went back":                                {flipped: true, rows: []row{{back, true}, {kept, false}}, expected: turnback.Done},
		"what the rules leave hinders nothing":         {flipped: true, rows: []row{{back, true}, {left, false}}, expected: turnback.Done},
		"one could not":                                {rows: []row{{back, true}, {back, false}}, expected: turnback.Stuck},
		"one waits for a person":                       {rows: []row{{back, true}, {open, false}}, expected: turnback.Stuck},
		"a part of a partition could not":              {rows: []row{{half, true}}, expected: turnback.Stuck},
		"the flip alone is a move":                     {flipped: true, rows: []row{{back, false}}, expected: turnback.Stuck},
		"stopped after the flip":                       {flipped: true, stopped: true, expected: turnback.Stuck},
		"stopped after a partition":                    {stopped: true, rows: []row{{back, true}}, expected: turnback.Stuck},
		"stopped before anything moved":                {stopped: true, rows: []row{{kept, false}}, expected: turnback.Refused},
		"nothing could":                                {rows: []row{{back, false}}, expected: turnback.Refused},
		"a first release that nobody decided about":    {rows: []row{{open, false}}, expected: turnback.Refused},
		"a keep that is said to have moved is no move": {stopped: true, rows: []row{{kept, true}}, expected: turnback.Refused},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := turnback.Tally{Flipped: c.flipped, Stopped: c.stopped}
			parts := whole
			for _, r := range c.rows {
				whole = whole.Add(r.d, r.moved)
				parts = parts.Plus(turnback.Tally{}.Add(r.d, r.moved))
			}
			require.Equal(t, c.expected, whole.End())
			require.Equal(t, whole, parts, "it does not matter how the work was cut")
		})
	}
}
