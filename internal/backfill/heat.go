package backfill

import (
	"slices"
	"strings"
)

// HeatCells is how many cells a strip has at most.
const HeatCells = 60

// The cells of a strip that are no digit.
const (
	HeatWaits  = '.' // nothing of it is done
	HeatDone   = '#' // all of it is
	HeatFailed = 'x' // something of it has failed, or is tried again
	HeatLeft   = '-' // something of it was left out by a person's word
)

// Progress is how far the items of a plan are, as far as a workflow carries it.
type Progress struct {
	// Next is the first slice that is not over; those before it are, but for what is open.
	Next int
	// Open are the slices that are not over.
	Open []Begun
	// Failed are the items that have failed, or are tried again.
	Failed []int
	// Left are the cells in which something was left out, as Leave adds them.
	Left []int
}

// Begun is a slice of which so many items are over.
type Begun struct{ Slice, Done int }

// cells is how many cells the strip has, and cell the one of an item.
func (s Summary) cells() int { return min(s.Partitions, HeatCells) }

func (s Summary) cell(item int) int { return item * s.cells() / s.Partitions }

// Leave adds the cell of an item that is left out to those in which something was. Cells are all that is kept of that, so that it is
// bounded, however much is left out.
func (s Summary) Leave(cells []int, item int) []int {
	if item < 0 || item >= s.Partitions || slices.Contains(cells, s.cell(item)) {
		return cells
	}
	return append(cells, s.cell(item))
}

// Heat draws how far the partitions of a plan are, in its order, in HeatCells cells at most: a digit says how many tenths of a cell are
// done.
func (s Summary) Heat(p Progress) string {
	if s.Partitions == 0 || s.Slice == 0 {
		return ""
	}
	cells, cell := s.cells(), s.cell
	done := make([]int, cells)
	first := func(cell int) int { return (cell*s.Partitions + cells - 1) / cells }
	add := func(from, to, sign int) {
		for c := cell(min(from, s.Partitions-1)); c < cells && first(c) < to; c++ {
			done[c] += sign * max(0, min(to, first(c+1))-max(from, first(c)))
		}
	}
	span := func(slice int) (from, to int) {
		cut := s.Partitions
		if s.Whole {
			cut--
			if slice >= s.Slices-1 {
				return cut, s.Partitions
			}
		}
		return min(slice*s.Slice, cut), min((slice+1)*s.Slice, cut)
	}
	if p.Next > 0 {
		_, to := span(p.Next - 1)
		add(0, to, 1)
	}
	for _, open := range p.Open {
		from, to := span(open.Slice)
		if open.Slice < p.Next {
			add(from, to, -1)
		}
		add(from, min(from+open.Done, to), 1)
	}
	failed := make([]bool, cells)
	for _, item := range p.Failed {
		if item >= 0 && item < s.Partitions {
			failed[cell(item)] = true
		}
	}
	var strip strings.Builder
	for c, n := range done {
		size := first(c+1) - first(c)
		switch {
		case failed[c]:
			strip.WriteRune(HeatFailed)
		case slices.Contains(p.Left, c):
			strip.WriteRune(HeatLeft)
		case n >= size:
			strip.WriteRune(HeatDone)
		case n <= 0:
			strip.WriteRune(HeatWaits)
		default:
			strip.WriteByte(byte('0' + max(1, n*10/size)))
		}
	}
	return strip.String()
}

// Shades are a strip as people see it.
func Shades(heat string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == HeatWaits:
			return '·'
		case r == HeatDone:
			return '█'
		case r == HeatFailed:
			return '✘'
		case r == HeatLeft:
			return '–'
		case r < '4':
			return '░'
		case r < '7':
			return '▒'
		}
		return '▓'
	}, heat)
}
