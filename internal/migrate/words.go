package migrate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"drawbridge/internal/check"
)

// oneLine is a text of an author in a sentence: on one line, and without what a terminal would take for more than text.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// change is an operation in words.
func change(o Operation) string {
	column, name := shown(o.Column), shown(o.Name)
	switch o.Kind {
	case AddColumn:
		text := fmt.Sprintf("add the column %s (%s)", column, oneLine(o.Type))
		switch {
		case o.Required && o.Up != "":
			text += ", never null; where nobody gives it a value it is " + oneLine(o.Up)
		case o.Required:
			text += ", never null, by default " + oneLine(o.Default)
		case o.Default != "":
			text += ", by default " + oneLine(o.Default)
		}
		return text
	case RenameColumn:
		return fmt.Sprintf("call the column %s %s", column, shown(o.To))
	case ChangeType:
		text := fmt.Sprintf("change the type of the column %s to %s", column, oneLine(o.To))
		if o.Up != "" {
			text += fmt.Sprintf(": %s, and back: %s", oneLine(o.Up), oneLine(o.Down))
		}
		return text
	case DropColumn:
		return "take the column " + column + " away"
	case SetNotNull:
		text := "let " + column + " never be null"
		if o.Up != "" {
			text += "; where it is, it becomes " + oneLine(o.Up)
		}
		return text
	case DropNotNull:
		return "let " + column + " be null"
	case SetDefault:
		return fmt.Sprintf("let %s by default be %s", column, oneLine(o.Default))
	case DropDefault:
		return "give " + column + " no default"
	case AddCheck:
		return fmt.Sprintf("hold every row to %s: %s", name, oneLine(o.Check))
	case DropCheck:
		return "take the check " + name + " away"
	case CreateIndex:
		text := fmt.Sprintf("make the index %s over %s", name, oneLine(strings.Join(o.Columns, ", ")))
		if o.Unique {
			text = strings.Replace(text, "make the index", "make the unique index", 1)
		}
		if o.Where != "" {
			text += " where " + oneLine(o.Where)
		}
		return text
	case DropIndex:
		return "take the index " + name + " away"
	case SetComment:
		return fmt.Sprintf("say of %s: %s", column, oneLine(o.Comment))
	case AddForeignKey:
		return fmt.Sprintf("hold every row to name a row of %s by %s: the foreign key %s%s", shown(o.References), shownAll(o.Columns), name, exceptBy(o))
	case DropForeignKey:
		return "take the foreign key " + name + " away"
	case AddUnique:
		return fmt.Sprintf("let no two rows have the same %s: the unique constraint %s", shownAll(o.Columns), name)
	case DropUnique:
		return "take the unique constraint " + name + " away"
	case AddPrimaryKey:
		return fmt.Sprintf("let %s be the primary key, %s", shownAll(o.Columns), name)
	case AddEnumValue:
		return fmt.Sprintf("give the type %s the value %s", shown(o.Type), shown(o.Value))
	case CreateView:
		text := fmt.Sprintf("make the view %s: %s", name, oneLine(strings.Join(o.Columns, ", ")))
		if o.Where != "" {
			text += " where " + oneLine(o.Where)
		}
		return text
	case CreateTable:
		var columns []string
		for _, made := range o.Made {
			columns = append(columns, shown(made.Name)+" ("+oneLine(made.Type)+")")
		}
		return "make the table: " + strings.Join(columns, ", ")
	case RenameTable:
		return "call the table " + shown(o.To)
	case DropTable:
		return "take the table away"
	case SQL:
		return fmt.Sprintf("run the SQL %s: %s", name, oneLine(strings.Join(o.Act, "; ")))
	}
	return string(o.Kind)
}

// concern is what a consumer has to do about an operation, and by when; empty: nothing.
func concern(o Operation) string {
	column := shown(o.Column)
	switch o.Kind {
	case AddColumn:
		if !o.Required {
			return fmt.Sprintf("%s is new. Queries of all columns (SELECT *) see it from the beginning; name your columns.", column)
		}
		if o.Up == "" {
			return fmt.Sprintf("%s is new, and never null from the switch on. Writers that leave it out get its default.", column)
		}
		return fmt.Sprintf("%s is new, and never null from the switch on. Until contract writers may leave it out, and it is filled in; after contract a write without it fails. Write it before then.", column)
	case RenameColumn:
		return fmt.Sprintf("%s is called %s. Both are there, and say the same, from the beginning of the switch's preparation until contract; then %s is gone. Read and write %s before then.", column, shown(o.To), column, shown(o.To))
	case ChangeType:
		if o.Up == "" {
			return fmt.Sprintf("%s is of type %s from contract on. Be ready for values that are longer than now.", column, oneLine(o.To))
		}
		return fmt.Sprintf("%s is of type %s from the switch on. Until contract what it was is there as %s, for a way back. Be ready for the new type before the switch.", column, oneLine(o.To), shown(o.Column+oldSuffix))
	case DropColumn:
		return fmt.Sprintf("%s goes at contract. Neither read nor write it from then on.", column)
	case SetNotNull:
		if o.Up != "" {
			return fmt.Sprintf("%s is never null from the switch on. Until contract writers may leave it out, and it is filled in; after contract a write without it fails.", column)
		}
		return fmt.Sprintf("%s is never null from the switch on: a write that leaves it null fails.", column)
	case DropNotNull:
		return fmt.Sprintf("%s may be null after contract. Be ready to read that.", column)
	case SetDefault:
		return fmt.Sprintf("A write that leaves %s out gets %s from the switch on.", column, oneLine(o.Default))
	case DropDefault:
		return fmt.Sprintf("A write that leaves %s out gets no value from the switch on.", column)
	case AddCheck:
		return fmt.Sprintf("A write that does not meet %s fails from the switch on.", oneLine(o.Check))
	case DropCheck:
		return fmt.Sprintf("After contract rows need not meet the check %s any more. Be ready to read such rows.", shown(o.Name))
	case CreateIndex:
		if o.Unique {
			return fmt.Sprintf("A write of a second row with the same %s fails as soon as the index %s is there.", oneLine(strings.Join(o.Columns, ", ")), shown(o.Name))
		}
		return ""
	case DropIndex:
		return fmt.Sprintf("The index %s goes at contract: queries that use it are slower.", shown(o.Name))
	case SetComment:
		return ""
	case AddForeignKey:
		return fmt.Sprintf("A write whose %s names no row of %s fails from the switch on, and so does one of %s that takes away what rows name%s.", shownAll(o.Columns), shown(o.References), shown(o.References), exceptBy(o))
	case DropForeignKey:
		return fmt.Sprintf("After contract rows need not meet the foreign key %s any more. Be ready to read rows that name nothing that is there.", shown(o.Name))
	case AddUnique:
		return fmt.Sprintf("A write of a second row with the same %s fails from the switch on.", shownAll(o.Columns))
	case DropUnique:
		return fmt.Sprintf("After contract two rows may be the same by %s. Be ready to read them, and write no ON CONFLICT over its columns.", shown(o.Name))
	case AddPrimaryKey:
		return fmt.Sprintf("A write of a second row with the same %s, or with a null in it, fails from the switch on.", shownAll(o.Columns))
	case AddEnumValue:
		return fmt.Sprintf("After contract %s may be %s. Be ready to read that.", shown(o.Type), shown(o.Value))
	case CreateView:
		return fmt.Sprintf("The view %s is there from the beginning: it shows the table as it is, under these names: %s. Whoever may read or write the table may do so through it; TRUNCATE and COPY into it fail.", shown(o.Name), oneLine(strings.Join(o.Columns, ", ")))
	case CreateTable:
		return "The table is new. Nobody but its owner may read or write it before somebody gives rights on it."
	case RenameTable:
		return fmt.Sprintf("The table is called %s from the switch on. Until contract the old name is a view of it: reads and writes go on, but COPY and TRUNCATE need the new name. Use the new one before contract.", shown(o.To))
	case DropTable:
		return "The table goes. From the switch on it has another name, and whoever reads or writes it gets an error; until contract it can be brought back. Neither read nor write it from the switch on."
	case SQL:
		return ""
	}
	return ""
}

// phaseWords say what a phase is for.
func phaseWords(phase Phase) string {
	switch phase {
	case Expand:
		return "What is new is added beside what is there."
	case DualWrite:
		return "Every write is kept in both shapes, whichever of them a writer knows."
	case Backfill:
		return "The rows that were there before get their values, in batches, throttled."
	case Verify:
		return "Every row is looked at; one that does not hold stops the migration, with counts."
	case Switch:
		return "The new shape counts from here on, and the old one follows."
	case Deprecating:
		return "Both shapes are kept while consumers get ready."
	case Contract:
		return "The old shape is taken away. Nothing brings it back."
	}
	return ""
}

// durationText is a duration as people write it.
func durationText(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "none"
	case d >= day && d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// lockText says who waits for a step's locks.
func (s Step) lockText() string {
	text := lockText(s.Lock)
	if len(s.Also) > 0 && s.Class != Scan {
		text += ", of " + shownAll(s.Also) + " too"
	}
	return text
}

// lockText says who waits for a lock.
func lockText(lock Lock) string {
	switch lock {
	case NoLock:
		return "no lock"
	case AccessShare, RowExclusive, ShareUpdateExclusive:
		return string(lock) + ": readers and writers go on"
	case ShareRowExclusive:
		return string(lock) + ": writers wait for a moment"
	case AccessExclusive:
		return string(lock) + ": all wait for a moment"
	}
	return string(lock)
}

// sizeText is how large the table is: what is read and brought over.
func sizeText(e Estimate) string {
	rows := "an unknown number of rows"
	if e.Rows >= 0 {
		rows = "about " + check.FormatCount(e.Rows) + " rows"
	}
	return fmt.Sprintf("%s, %s MB without its indexes", rows, check.FormatCount(e.Bytes/1_000_000))
}

// tookText is a time that is estimated.
func tookText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < 2*time.Hour:
		return fmt.Sprintf("about %d minutes", int64((d+time.Minute-1)/time.Minute))
	default:
		return fmt.Sprintf("about %d hours", int64((d+time.Hour-1)/time.Hour))
	}
}
