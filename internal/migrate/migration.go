package migrate

import (
	"regexp"
	"time"
)

// Migration is a file of the folder migrations: what is to become of one table, and who is told.
type Migration struct {
	// Name is the file's, without its end: NNNN_words. Migrations are done in the order of their names.
	Name string `json:"name"`
	// Table is a plain table of the environment's warehouse_schema.
	Table string `json:"table"`
	// Why is for those who read and approve the plan.
	Why        string      `json:"why"`
	Operations []Operation `json:"operations"`
	Consumers  []Consumer  `json:"consumers,omitempty"`
	Deprecate  Deprecate   `json:"deprecate,omitzero"`
}

// Consumer is a team that reads or writes the table.
type Consumer struct {
	Name    string `json:"name"`
	Contact string `json:"contact,omitempty"`
	// MustAck says that nothing of the old shape is taken away before the team has said that it is ready.
	MustAck bool `json:"must_ack,omitempty"`
	// Roles are the logins under which it reads, as far as they are known.
	Roles []string `json:"roles,omitempty"`
}

// Deprecate is how the old shape is taken away.
type Deprecate struct {
	// Window is how long both shapes are kept after the switch, at the least.
	Window time.Duration `json:"window,omitempty"`
	// Brownout is for how long contract is tried before: who still needs the old shape is refused; 0: it is not tried.
	Brownout time.Duration `json:"brownout,omitempty"`
}

var namePattern = regexp.MustCompile(`^[0-9]{4}_[a-z0-9]+(_[a-z0-9]+)*$`)

// maxFileName leaves room for pipeline and environment in workflow IDs.
const maxFileName = 60

// ValidName says whether a migration can be called so.
func ValidName(name string) bool { return len(name) <= maxFileName && namePattern.MatchString(name) }
