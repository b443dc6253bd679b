package migrate

import (
	"fmt"
	"strings"
)

// settings are the statements that give a new column what belongs to a column alone, as the one has it whose place it takes, and the
// conditions by which that is found.
func (p *planner) settings(c Column, added string) (statements, conditions []string) {
	set := func(action, condition string) {
		statements = append(statements, p.alterColumn(added, action))
		conditions = append(conditions, condition)
	}
	if c.Storage != "" {
		set("SET STORAGE "+c.Storage, "a.attstorage = "+literal(storageLetters()[c.Storage]))
	}
	if c.Compression != "" {
		set("SET COMPRESSION "+quote(c.Compression), "a.attcompression = "+literal(c.Compression[:1]))
	}
	if c.Target != nil {
		set(fmt.Sprintf("SET STATISTICS %d", *c.Target), fmt.Sprintf("a.attstattarget = %d", *c.Target))
	}
	if len(c.Options) > 0 {
		var options []string
		for _, option := range c.Options {
			name, value, _ := strings.Cut(option, "=")
			options = append(options, quote(name)+" = "+literal(value))
		}
		set("SET ("+strings.Join(options, ", ")+")", "a.attoptions @> "+literals(c.Options))
	}
	for _, g := range c.Grants {
		statements = append(statements, p.grant(g, added))
		conditions = append(conditions, granted(g))
	}
	return statements, conditions
}

// storageLetters are how the catalog writes a storage.
func storageLetters() map[string]string {
	return map[string]string{"PLAIN": "p", "MAIN": "m", "EXTERNAL": "e", "EXTENDED": "x"}
}

func (p *planner) grant(g Grant, column string) string {
	to, more := "PUBLIC", ""
	if g.To != "" {
		to = quote(g.To)
	}
	if g.Grantable {
		more = " WITH GRANT OPTION"
	}
	return fmt.Sprintf("GRANT %s (%s) ON %s TO %s%s", g.Privilege, quote(column), p.table(), to, more)
}

// granted is a condition of a column: the right is given, whoever has others.
func granted(g Grant) string {
	to := "r.grantee = 0"
	if g.To != "" {
		to = "pg_catalog.pg_get_userbyid(r.grantee) = " + literal(g.To)
	}
	conditions := []string{to, "r.privilege_type = " + literal(g.Privilege)}
	if g.Grantable {
		conditions = append(conditions, "r.is_grantable")
	}
	return "EXISTS (SELECT FROM pg_catalog.aclexplode(a.attacl) r WHERE " + all(conditions...) + ")"
}
