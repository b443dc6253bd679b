package warehouse

import (
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/adoption"
	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
)

// names knows where things lie. Every identifier that reaches SQL text passes through it or through postgres.Ident.
type names struct{ schema string }

func (n names) data() string   { return n.schema + "__data" }
func (n names) ledger() string { return n.schema + "__ledger" }
func (n names) shadow() string { return n.schema + "__shadow" }

// all are the schemas of one warehouse, readers' first.
func (n names) all() []string { return []string{n.schema, n.data(), n.ledger(), n.shadow()} }

// parent is the table that readers see.
func (n names) parent(output string) string { return pgx.Identifier{n.schema, output}.Sanitize() }

// child is the table of one generation.
func (n names) child(id int64) string {
	return pgx.Identifier{n.data(), childName(id)}.Sanitize()
}

// chunk is a table between an output and generations.
func (n names) chunk(id int64) string {
	return pgx.Identifier{n.data(), fmt.Sprintf("c%d", id)}.Sanitize()
}

// legacy is the table of an output's legacy partition.
func (n names) legacy(output string) string {
	return pgx.Identifier{n.data(), adoption.LegacyPrefix + output}.Sanitize()
}

// landing is the table of one landing.
func (n names) landing(id int64) string {
	return pgx.Identifier{n.data(), landingName(id)}.Sanitize()
}

func landingName(id int64) string { return fmt.Sprintf("l%d", id) }

// buildParent is the parent through which a batch is filled, called after the first generation of it; buildRest is its partition for
// rows of none of the others.
func (n names) buildParent(first int64) string {
	return pgx.Identifier{n.data(), buildParentName(first)}.Sanitize()
}

func (n names) buildRest(first int64) string {
	return pgx.Identifier{n.data(), buildParentName(first) + "_rest"}.Sanitize()
}

func buildParentName(first int64) string { return fmt.Sprintf("b%d", first) }

func childName(id int64) string { return fmt.Sprintf("g%d", id) }

// shadowParent is an output's parent for one deployment. Output names have at most 40 bytes.
func (n names) shadowParent(output, deployment string) string {
	return pgx.Identifier{n.shadow(), output + "_" + shadowTag(deployment)}.Sanitize()
}

var schemaPattern = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

// checkSchemaName leaves room for the suffixes within the 63 bytes of an identifier.
func checkSchemaName(schema string) error {
	if whose := pipeline.TakenSchema(schema); whose != "" {
		return fault.Newf(fault.Invalid, "open warehouse", schema, "set warehouse_schema to a schema of its own", "it "+whose)
	}
	if schemaPattern.MatchString(schema) {
		return nil
	}
	return fault.Newf(fault.Invalid, "open warehouse", schema, "set warehouse_schema to lower-case letters, digits and _, at most 48",
		"it is no usable schema name")
}
