package release

import (
	"time"

	"drawbridge/internal/fault"
)

// Kind is what a statement says about a release.
type Kind string

const (
	// Validated says that lint, secret scan and unit tests passed, once, on the artifact.
	Validated Kind = "validated"
	// Passed says that the release went through all gates of an environment, its watch included.
	Passed Kind = "passed"
	// Approved says that a person let the release into an environment, with a plan.
	Approved Kind = "approved"
	// Migrated says that a migration of the release is verified and switched in an environment, and by which plan; Details name it.
	Migrated Kind = "migrated"
	// Yanked says that the release must not be deployed any more, anywhere.
	Yanked Kind = "yanked"
)

// MigrationDetail is the detail of a statement that names a migration.
const MigrationDetail = "migration"

// Statement is what somebody says, signed, about a release. What it is about (release, environment, plan) is part of what
// is signed, so that it proves nothing about another.
type Statement struct {
	Kind        Kind              `json:"kind"`
	Subject     string            `json:"-"` // digest of the release
	Environment string            `json:"environment,omitempty"`
	Plan        string            `json:"plan,omitempty"` // digest
	By          string            `json:"by"`
	Reason      string            `json:"reason,omitempty"`
	At          time.Time         `json:"at"`
	Details     map[string]string `json:"details,omitempty"`
	// KeyID is the key whose signature was verified. Whoever attaches a statement leaves it empty.
	KeyID string `json:"-"`
}

// Check refuses a statement that leaves out what its kind has to say.
func (st Statement) Check() error {
	problem := ""
	switch st.Kind {
	case Validated:
	case Passed:
		if st.Environment == "" {
			problem = "it names no environment"
		}
	case Approved:
		if st.Environment == "" || st.Plan == "" {
			problem = "it names no environment or no plan"
		}
	case Migrated:
		if st.Environment == "" || st.Plan == "" || st.Details[MigrationDetail] == "" {
			problem = "it names no environment, no plan or no migration"
		}
	case Yanked:
		if st.Reason == "" {
			problem = "it gives no reason"
		}
	default:
		problem = "its kind is unknown"
	}
	if st.By == "" || st.At.IsZero() {
		problem = "it does not say by whom or when"
	}
	if problem == "" {
		return nil
	}
	return fault.Newf(fault.Invalid, "read statement", string(st.Kind), "state kind, environment, plan, person and time", problem)
}
