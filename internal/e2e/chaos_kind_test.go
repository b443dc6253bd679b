package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The kinds of migrations that happen at the same time.
const (
	plainFares  = "plain"
	tried       = "brownout"
	keyed       = "keys"
	partitioned = "partitioned"
	renamed     = "relations"
	ofOutput    = "output"
)

func chaosKinds() []string { return []string{plainFares, tried, keyed, partitioned, renamed, ofOutput} }

// chaosKind is a table and its migrations: one after the other they change it, and the last one brings it back to where it was.
type chaosKind struct {
	name  string
	rows  int
	every time.Duration // a writer writes
	flags []string      // with which one is begun
	turns []chaosTurn
}

// chaosTurn is one of the migrations, and what the table is before it.
type chaosTurn struct {
	way        string // in its name
	operations []string
	// deprecate is how the old shape goes; empty: there is none to go.
	deprecate string
	// table is what it is called, and amount the column of what a row costs.
	table, amount string
	// model makes the table, and what goes with it, by SQL of Postgres alone, where its schema is the first in the search path.
	model []string
}

// file is the text of the turn's file.
func (t chaosTurn) file() string {
	text := "table: " + t.table + "\nwhy: chaos\noperations:\n  - " + strings.Join(t.operations, "\n  - ") + "\n"
	if t.deprecate != "" {
		text += "consumers:\n  - {name: writers, must_ack: true}\ndeprecate: " + t.deprecate + "\n"
	}
	return text
}

// tables are the names that the table has in turn.
func (k chaosKind) tables() (names []string) {
	for _, t := range k.turns {
		names = append(names, t.table)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// turn is what the table is after so many migrations, and the next one.
func (k chaosKind) turn(after int) chaosTurn { return k.turns[after%len(k.turns)] }

const (
	soonGone = "{window: 1s}"
	triedOut = "{window: 4s, brownout: 3s}"
)

// fareModel is a table of what rides cost.
func fareModel(table, amount, qty, by string) string {
	return fmt.Sprintf(`CREATE TABLE %[1]s (id int PRIMARY KEY, %[2]s int NOT NULL DEFAULT 0, qty %[3]s NOT NULL, note text NOT NULL)%[4]s;
		COMMENT ON COLUMN %[1]s.%[2]s IS 'what it costs'`, table, amount, qty, by)
}

// fareKind renames a column, gives another one another type, and makes, or drops, an index and a check.
func fareKind() chaosKind {
	return chaosKind{name: plainFares, rows: fareRows, every: 10 * time.Millisecond, turns: []chaosTurn{
		{way: "there", table: "fares", amount: "amount", deprecate: soonGone, model: []string{fareModel("fares", "amount", "int", "")}, operations: []string{
			`rename_column: {column: amount, to: fare}`,
			`change_type: {column: qty, to: text, up: "qty::text", down: "qty::int"}`,
			`create_index: {name: fares_note, columns: [note]}`,
			`add_check: {name: fares_noted, check: "note <> ''"}`,
		}},
		{way: "back", table: "fares", amount: "fare", deprecate: soonGone, model: []string{
			fareModel("fares", "fare", "text", ""),
			`CREATE INDEX fares_note ON fares (note)`,
			`ALTER TABLE fares ADD CONSTRAINT fares_noted CHECK (note <> '')`,
		}, operations: []string{
			`rename_column: {column: fare, to: amount}`,
			`change_type: {column: qty, to: int, up: "qty::int", down: "qty::text"}`,
			`drop_index: {name: fares_note}`,
			`drop_check: {name: fares_noted}`,
		}},
	}}
}

// triedKind renames a column on which others have rights, and tries that for a while.
func triedKind(r chaosRoles) chaosKind {
	model := func(amount string) []string {
		return []string{
			fareModel("tolls", amount, "int", ""),
			`GRANT SELECT, INSERT ON tolls TO ` + r.whole,
			`GRANT UPDATE ON tolls TO ` + r.whole + ` WITH GRANT OPTION`,
			`GRANT SELECT (id, ` + amount + `), UPDATE (` + amount + `) ON tolls TO ` + r.parts + ` WITH GRANT OPTION`,
			`GRANT SELECT (note) ON tolls TO PUBLIC`,
			`GRANT REFERENCES, DELETE ON tolls TO ` + r.parts,
		}
	}
	return chaosKind{name: tried, rows: 5_000, every: 50 * time.Millisecond, turns: []chaosTurn{
		{way: "tolls_there", table: "tolls", amount: "amount", deprecate: triedOut, model: model("amount"), operations: []string{`rename_column: {column: amount, to: fare}`}},
		{way: "tolls_back", table: "tolls", amount: "fare", deprecate: triedOut, model: model("fare"), operations: []string{`rename_column: {column: fare, to: amount}`}},
	}}
}

// keyedKind holds rows to another table and apart from each other, and lets them be again.
func keyedKind() chaosKind {
	const bands = `CREATE TABLE bands (n int PRIMARY KEY); INSERT INTO bands SELECT generate_series(0, 99)`
	return chaosKind{name: keyed, rows: 20_000, every: 50 * time.Millisecond, turns: []chaosTurn{
		{way: "zones_there", table: "zones", amount: "amount", model: []string{bands, fareModel("zones", "amount", "int", "")}, operations: []string{
			`add_foreign_key: {name: zones_band, columns: [qty], references: bands, key: [n], on_delete: restrict}`,
			`add_unique: {name: zones_once, columns: [id, qty]}`,
			`create_index: {name: zones_of_band, columns: [qty]}`,
		}},
		{way: "zones_back", table: "zones", amount: "amount", deprecate: soonGone, model: []string{
			bands,
			fareModel("zones", "amount", "int", ""),
			`ALTER TABLE zones ADD CONSTRAINT zones_band FOREIGN KEY (qty) REFERENCES bands (n) ON DELETE RESTRICT`,
			`ALTER TABLE zones ADD CONSTRAINT zones_once UNIQUE (id, qty)`,
			`CREATE INDEX zones_of_band ON zones (qty)`,
		}, operations: []string{
			`drop_foreign_key: {name: zones_band}`,
			`drop_unique: {name: zones_once}`,
			`drop_index: {name: zones_of_band}`,
		}},
	}}
}

// partitionedKind renames a column of a table in partitions, of which one has partitions of its own.
func partitionedKind() chaosKind {
	model := func(amount string, more ...string) []string {
		return append([]string{
			fareModel("tickets", amount, "int", " PARTITION BY RANGE (id)"),
			`CREATE TABLE tickets_low PARTITION OF tickets FOR VALUES FROM (MINVALUE) TO (5000)`,
			`CREATE TABLE tickets_mid PARTITION OF tickets FOR VALUES FROM (5000) TO (15000) PARTITION BY RANGE (id)`,
			`CREATE TABLE tickets_mid_a PARTITION OF tickets_mid FOR VALUES FROM (5000) TO (9000)`,
			`CREATE TABLE tickets_mid_b PARTITION OF tickets_mid DEFAULT`,
			`CREATE TABLE tickets_rest PARTITION OF tickets DEFAULT`,
		}, more...)
	}
	return chaosKind{name: partitioned, rows: 20_000, every: 50 * time.Millisecond, turns: []chaosTurn{
		{way: "tickets_there", table: "tickets", amount: "amount", deprecate: soonGone, model: model("amount"), operations: []string{
			`rename_column: {column: amount, to: fare}`,
			`create_index: {name: tickets_note, columns: [note]}`,
			`add_check: {name: tickets_noted, check: "note <> ''"}`,
		}},
		{way: "tickets_back", table: "tickets", amount: "fare", deprecate: soonGone, model: model("fare",
			`CREATE INDEX tickets_note ON tickets (note)`,
			`ALTER INDEX tickets_low_note_idx RENAME TO tickets_low_tickets_note`,
			`ALTER INDEX tickets_mid_note_idx RENAME TO tickets_mid_tickets_note`,
			`ALTER INDEX tickets_mid_a_note_idx RENAME TO tickets_mid_a_tickets_note`,
			`ALTER INDEX tickets_mid_b_note_idx RENAME TO tickets_mid_b_tickets_note`,
			`ALTER INDEX tickets_rest_note_idx RENAME TO tickets_rest_tickets_note`,
			`ALTER TABLE tickets ADD CONSTRAINT tickets_noted CHECK (note <> '')`,
		), operations: []string{
			`rename_column: {column: fare, to: amount}`,
			`drop_index: {name: tickets_note}`,
			`drop_check: {name: tickets_noted}`,
		}},
	}}
}

// renamedKind gives a table another name, and runs SQL of an author's own.
func renamedKind() chaosKind {
	const lower = `CREATE INDEX stops_lower ON halts (lower(note))`
	return chaosKind{name: renamed, rows: 5_000, every: 50 * time.Millisecond, turns: []chaosTurn{
		{way: "stops_there", table: "stops", amount: "amount", deprecate: soonGone, model: []string{fareModel("stops", "amount", "int", "")}, operations: []string{
			`rename_table: {to: halts}`,
		}},
		{way: "stops_by_lower", table: "halts", amount: "amount", model: []string{fareModel("stops", "amount", "int", ""), `ALTER TABLE stops RENAME TO halts`}, operations: []string{
			`sql: {name: by_lower, act: ["CREATE INDEX CONCURRENTLY stops_lower ON @table (lower(note))"], undo: ["DROP INDEX CONCURRENTLY @schema.stops_lower"], ` +
				`probe: "SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = @table_oid AND c.relname = 'stops_lower')"}`,
		}},
		{way: "stops_back", table: "halts", amount: "amount", deprecate: soonGone, model: []string{fareModel("stops", "amount", "int", ""), `ALTER TABLE stops RENAME TO halts`, lower}, operations: []string{
			`rename_table: {to: stops}`,
		}},
		{way: "stops_as_before", table: "stops", amount: "amount", deprecate: soonGone, model: []string{
			fareModel("stops", "amount", "int", ""), `ALTER TABLE stops RENAME TO halts`, lower, `ALTER TABLE halts RENAME TO stops`,
		}, operations: []string{
			`drop_index: {name: stops_lower}`,
		}},
	}}
}
