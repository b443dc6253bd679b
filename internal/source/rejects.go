package source

import (
	"bytes"
	"fmt"
	"slices"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/reject"
)

// shift says that from a line of what was given on, lines of the file have a number that is higher by more.
type shift struct{ line, by int }

// Block is some rows, one by one.
type Block struct {
	Text []byte
	Rows []Given
}

// Given is a row in a block: where it begins, its line in the file, and how many lines it has.
type Given struct{ At, Line, Feeds int }

// Part is the text of some rows of a block.
func (b Block) Part(from, to int) []byte {
	if to == len(b.Rows) {
		return b.Text[b.Rows[from].At:]
	}
	return b.Text[b.Rows[from].At:b.Rows[to].At]
}

// Find is the row in which a line is that is counted from row from on, from 1; -1 where there is none.
func (b Block) Find(from, line int) int {
	for i := from; i < len(b.Rows); i++ {
		if line -= b.Rows[i].Feeds; line <= 0 {
			return i
		}
	}
	return -1
}

// Block gives the next rows at once, in place of Read. It ends with io.EOF.
func (r *Rows) Block() (Block, error) {
	r.indexed = true
	r.fill()
	if len(r.index) > 0 {
		return Block{Text: r.out, Rows: r.index}, nil
	}
	return Block{}, r.err
}

// LeaveOut notes that the server has refused a row that was given.
func (r *Rows) LeaveOut(line int, column, reason string, text []byte) error {
	r.records--
	return r.leaveOut(reject.Row{Line: line, Column: column, Reason: reason, Text: reject.Cut(bytes.TrimRight(text, "\n"))})
}

// leaveOut notes a row that is not given.
func (r *Rows) leaveOut(row reject.Row) error {
	row.File = r.object
	r.rejects = append(r.rejects, row)
	if r.left++; len(r.rejects) == keptAtOnce {
		if err := r.Flush(); err != nil {
			return err
		}
	}
	if most := r.load.MaxRejects; most.Share == 0 && r.left > most.Count {
		return TooMany(r.load, r.object, r.left, r.records+r.left)
	}
	return nil
}

// TooMany says that more rows cannot be read than the load allows.
func TooMany(load pipeline.Load, object string, left, rows int64) error {
	return fault.Newf(fault.Invalid, "load", object, "correct the file; or allow more, with max_rejects of the load",
		fmt.Sprintf("%d of the %d rows that were read cannot be loaded, and max_rejects is %s", left, rows, load.MaxRejects))
}

// shift notes that lines of the file have passed of which nothing is given.
func (r *Rows) shift(lines int) {
	if lines == 0 {
		return
	}
	by := lines
	if n := len(r.shifts); n > 0 {
		by += r.shifts[n-1].by
		if n == mostShifts {
			r.shifts = slices.Delete(r.shifts, 0, mostShifts/2)
		}
	}
	r.shifts = append(r.shifts, shift{line: r.lines + 1, by: by})
}

// Line is the file's line for one of what was given, counted from 1.
func (r *Rows) Line(given int) int {
	for _, s := range slices.Backward(r.shifts) {
		if s.line <= given {
			return given + s.by
		}
	}
	return given
}

// Left is how many rows were left out.
func (r *Rows) Left() int64 { return r.left }

// Flush gives the rows that were left out to Keep, which has them sometimes before.
func (r *Rows) Flush() error {
	rows := r.rejects
	r.rejects = r.rejects[:0]
	if len(rows) == 0 || r.Keep == nil {
		return nil
	}
	return r.Keep(rows)
}
