package migrate

// Phase is where a migration is.
type Phase string

// The phases, in order.
const (
	Expand      Phase = "expand"
	DualWrite   Phase = "dual_write"
	Backfill    Phase = "backfill"
	Verify      Phase = "verify"
	Switch      Phase = "switch"
	Deprecating Phase = "deprecate"
	Contract    Phase = "contract"
)

// Phases lists them in order.
func Phases() []Phase {
	return []Phase{Expand, DualWrite, Backfill, Verify, Switch, Deprecating, Contract}
}

// Lock is the strongest lock that a step takes on the table, in the words of Postgres.
type Lock string

// The locks, from the weakest.
const (
	NoLock               Lock = ""
	AccessShare          Lock = "ACCESS SHARE"           // reads
	RowExclusive         Lock = "ROW EXCLUSIVE"          // writes
	ShareUpdateExclusive Lock = "SHARE UPDATE EXCLUSIVE" // readers and writers go on
	ShareRowExclusive    Lock = "SHARE ROW EXCLUSIVE"    // writers wait
	AccessExclusive      Lock = "ACCESS EXCLUSIVE"       // all wait
)

// Class is how long a step may take, and how it waits.
type Class string

// The classes.
const (
	// Instant changes the catalog only: it climbs the ladder of locks, and then takes milliseconds.
	Instant Class = "instant"
	// Scan reads the table under a lock that nobody waits for.
	Scan Class = "scan"
	// Concurrent is CREATE or DROP INDEX CONCURRENTLY: outside a transaction, and without a short lock_timeout.
	Concurrent Class = "concurrent"
)

// Step is one thing that is done: looked for, done, and looked for again.
type Step struct {
	// ID is unique in its plan, and names the step's effect: expand-add-channel.
	ID    string `json:"id"`
	Phase Phase  `json:"phase"`
	Title string `json:"title"`
	// Act are the statements, all in one transaction; of class Concurrent it is one statement, in none.
	Act []string `json:"act"`
	// Probe is a query of one boolean: whether it is done. It is true right after Act, and stays true while later steps up to the
	// contract are done; it is false right after Undo.
	Probe string `json:"probe"`
	// Gone is a query of one boolean: whether nothing of it is there, whoever has changed it since. It is true before Act and after Undo,
	// and false right after Act. Between the two of them something is half there. Empty: nothing is there where the probe is false.
	Gone string `json:"gone,omitempty"`
	// Half is a query of one boolean: whether something half done is there, such as an invalid index, which Clean takes away: before
	// Act, and in place of Undo. Without it nothing can be half done.
	Half  string   `json:"half,omitempty"`
	Clean []string `json:"clean,omitempty"`
	// Undo takes it back, and whatever of it is half there: in one transaction, or one statement in none where it is of class Concurrent.
	// None: there is no way back.
	Undo []string `json:"undo,omitempty"`
	// Needs are the IDs of earlier steps that have to be done still, and Proofs what has to hold of every row, before a step of the contract
	// takes away what nothing brings back.
	Needs  []string `json:"needs,omitempty"`
	Proofs []Proof  `json:"proofs,omitempty"`
	// Also are other tables of the schema that it locks just so. One of class Scan does that only where it is undone.
	Also []string `json:"also,omitempty"`
	// Only is the one relation that the step locks, where that is not the table with all of its partitions: one of these, or the table itself.
	Only string `json:"only,omitempty"`
	// Column is the one that it adds or takes away, of a table that releases make: every generation that is kept has to have it, or none.
	Column string `json:"column,omitempty"`
	Lock   Lock   `json:"lock,omitempty"`
	Class  Class  `json:"class"`
	// Risk is what could go wrong, or who may notice; empty: nobody does.
	Risk string `json:"risk,omitempty"`
	// Fresh says that nothing of it may be there when the migration begins, so that nothing of somebody else's is taken for its own.
	Fresh bool `json:"fresh,omitempty"`
	// Own says that the statements are an author's: what they lock is measured, and where it is more than Lock says they are taken back.
	Own bool `json:"own,omitempty"`
}

// Filling is how the rows that are there are brought over.
type Filling struct {
	// Set is what is written: column = expression, as SQL.
	Set []Assignment `json:"set"`
	// Key are the columns by which batches are cut, in order; none: by the place of the rows in the table.
	Key []KeyColumn `json:"key,omitempty"`
}

// Assignment is a column, and the expression that gives its value. The table goes by its own name in it.
type Assignment struct {
	Column     string `json:"column"`
	Expression string `json:"expression"`
	// Keep leaves a row alone in which the column has a value: others may have written it.
	Keep bool `json:"keep,omitempty"`
}

// KeyColumn is a column of a key, and its type.
type KeyColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Proof is what has to hold of every row before the switch.
type Proof struct {
	// Name says what is proved: "channel is never null".
	Name string `json:"name"`
	// Broken is a condition, as SQL, that is true for a row of which it does not hold. The table goes by its own name in it.
	Broken string `json:"broken"`
	// Given are columns of a table that releases make: it is about the rows of generations that give all of them. None: about every row.
	Given []string `json:"given,omitempty"`
}
