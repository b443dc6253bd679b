package console

import (
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"

	"drawbridge/internal/shell"
)

// page is the text of a screen while it is written.
type page struct {
	Screen
	b strings.Builder
}

func (s Screen) page() *page { return &page{Screen: s} }

func (p *page) String() string { return p.b.String() }

// line writes a line. Where the terminal is narrow it goes on below, indented.
func (p *page) line(format string, args ...any) { p.hang("", "  ", inkf(format, args...)) }

// hang writes text after first; where the terminal is narrow, what follows comes after rest.
func (p *page) hang(first, rest ink, text ink) {
	lines := []string{string(text)}
	if room := p.Width - lipgloss.Width(string(rest)); p.Width > 0 && lipgloss.Width(string(first+text)) > p.Width && room > narrowest {
		lines = strings.Split(lipgloss.Wrap(string(text), room, " "), "\n")
	}
	for i, l := range lines {
		lead := first
		if i > 0 {
			lead = rest
		}
		p.b.WriteString(strings.TrimRight(string(lead)+l, " ") + "\n")
	}
}

// narrowest is the room below which nothing is wrapped any more: it would be a letter a line.
const narrowest = 16

// blank separates parts.
func (p *page) blank() { p.b.WriteString("\n") }

// next writes the last lines of a screen: the commands to type now. They are never cut or wrapped, so that they can be
// copied.
func (p *page) next(commands ...string) {
	for i, c := range commands {
		label := ink("Next:")
		if i > 0 {
			label = "     "
		}
		p.b.WriteString(string(inkf("%s %s", label, c)) + "\n")
	}
}

// hint writes what to do about the line above.
func (p *page) hint(indent ink, text string) {
	if text != "" {
		p.b.WriteString(string(inkf("%s→ %s", indent, text)) + "\n")
	}
}

// table writes rows in columns, fitted to the terminal. A column that is empty in every row is left out.
func (p *page) table(indent ink, rows ...[]any) {
	cells := columns(rows)
	if len(cells) == 0 {
		return
	}
	last := len(cells[0]) - 1
	t := table.New().Border(lipgloss.Border{}).BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
		BorderColumn(false).BorderHeader(false).BorderRow(false).Wrap(true).Rows(cells...).
		StyleFunc(func(_, column int) lipgloss.Style {
			if column == last {
				return lipgloss.NewStyle()
			}
			return lipgloss.NewStyle().PaddingRight(2)
		})
	text := t.Render()
	if room := p.Width - lipgloss.Width(string(indent)); p.Width > 0 && lipgloss.Width(text) > room && room > narrowColumn*(last+1) {
		text = t.Width(room).Render()
	}
	for line := range strings.SplitSeq(text, "\n") {
		p.b.WriteString(strings.TrimRight(string(indent)+line, " ") + "\n")
	}
}

// narrowColumn is the average width of columns below which a table is not fitted any more.
const narrowColumn = 6

// columns are the cells of rows, in the columns that hold anything.
func columns(rows [][]any) [][]string {
	var filled []bool
	all := make([][]ink, len(rows))
	for i, row := range rows {
		all[i] = make([]ink, len(row))
		for j, c := range row {
			if j == len(filled) {
				filled = append(filled, false)
			}
			all[i][j] = inkf("%v", c)
			filled[j] = filled[j] || all[i][j] != ""
		}
	}
	var cells [][]string
	for _, row := range all {
		var line []string
		for j, used := range filled {
			switch {
			case !used:
			case j < len(row):
				line = append(line, string(row[j]))
			default:
				line = append(line, "")
			}
		}
		if len(line) > 0 {
			cells = append(cells, line)
		}
	}
	return cells
}

// word is text as one word of a shell's line: names come from others, and the lines are there to be copied.
func word(text string) string { return shell.Word(text) }
