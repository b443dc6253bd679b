package generation

// Column is a column of a table, with its type as Postgres prints it, modifiers included: numeric(12,2).
type Column struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	NotNull bool   `json:"not_null,omitempty"`
}

// TableKind is what stands under an output's name.
type TableKind string

// What may stand under an output's name. Plain is anything that Drawbridge does not manage.
const (
	Absent  TableKind = "absent"
	Managed TableKind = "managed"
	Plain   TableKind = "plain"
)
