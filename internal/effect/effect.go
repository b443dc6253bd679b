// Package effect names the effects of workflows. Activities may run more than once; an effect happens at most once under
// its key, because the ledger's row of the key commits with the effect.
package effect

import (
	"strconv"
	"strings"

	"github.com/google/uuid"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
)

// Owner is the workflow that effects belong to: its ID and its first run ID, stable over continue-as-new and reset and
// new for each start. Fences name owners.
type Owner string

// OwnerOf names the owner of a workflow's effects.
func OwnerOf(workflowID, firstRunID string) Owner { return Owner(workflowID + "/" + firstRunID) }

// Workflow is the ID of the owner's workflow. IDs hold slashes, run IDs none.
func (o Owner) Workflow() string {
	at := strings.LastIndexByte(string(o), '/')
	if at < 0 {
		return string(o)
	}
	return string(o[:at])
}

// RecoveryID is the ID of the recovery of a workflow that ended without finishing: no other one acts for it.
func RecoveryID(workflowID string) string { return "recover/" + workflowID }

// IsBackfill says whether an ID is that of a backfill.
func IsBackfill(workflowID string) bool { return strings.HasPrefix(workflowID, "backfill/") }

// IsMigration says whether an ID is that of a migration.
func IsMigration(workflowID string) bool { return strings.HasPrefix(workflowID, "migrate/") }

// Key names one effect of a workflow in an environment. Partition is empty for effects that are about no partition; a
// person's retry of a step is a new round.
type Key struct {
	Owner       Owner
	Environment string
	Step        string
	Partition   partition.Key
	Round       int
}

// String is the key as the ledger has it: owner/environment/step/partition/round. A partition of none is "-".
func (k Key) String() string {
	part := string(k.Partition)
	if part == "" {
		part = "-"
	}
	return strings.Join([]string{string(k.Owner), k.Environment, k.Step, part, strconv.Itoa(k.Round)}, "/")
}

// Parse reads a key that String wrote. The first run ID, which is a UUID, parts the owner from the rest.
func Parse(text string) (Key, error) {
	parts := strings.Split(text, "/")
	for i, part := range parts {
		if i == 0 || uuid.Validate(part) != nil {
			continue
		}
		rest := parts[i+1:]
		if len(rest) != 4 {
			break
		}
		round, err := strconv.Atoi(rest[3])
		if err != nil || round < 0 {
			break
		}
		k := Key{Owner: Owner(strings.Join(parts[:i+1], "/")), Environment: rest[0], Step: rest[1], Partition: partition.Key(rest[2]), Round: round}
		if k.Partition == "-" {
			k.Partition = ""
		}
		return k, nil
	}
	return Key{}, fault.Newf(fault.Invalid, "read effect key", text, "write it as owner/environment/step/partition/round", "it is no effect key")
}

// Again is the key under which a build is done a second time, only to be compared with the first.
func (k Key) Again() Key {
	k.Step += "-again"
	return k
}

// Under says whether the key's effect belongs to the owner.
func (k Key) Under(o Owner) bool { return k.Owner == o }
