package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/fault"
)

// oldestVersion is the first version of Postgres whose recipes are known here.
const oldestVersion = 140000

// Compute plans a migration of a table as it is. It is fault.Invalid where the author has to write it otherwise, and fault.Refused
// where the table or the server does not allow it; either names everything that was found, and what to do.
func Compute(in Input) (Plan, error) {
	p := &planner{in: in}
	p.plan = Plan{
		Migration: in.Migration, Release: in.Release, Config: in.Config, Environment: in.Environment, Schema: in.Table.Schema,
	}
	for _, mistake := range Mistakes(in.Migration) {
		p.invalid(mistake.Hint, "%s", mistake.Reason)
	}
	p.world()
	if p.in.Table.Managed {
		p.plan.Given = &Given{GiveUp: p.in.GiveUp}
	}
	if err := p.err(); err != nil {
		return Plan{}, err // what follows would only repeat it
	}
	for i := range in.Migration.Operations {
		o := &in.Migration.Operations[i]
		recipe, _ := RecipeOf(o.Kind)
		p.operation(*o, recipe)
	}
	p.together()
	p.primaryKey()
	p.carry()
	p.given()
	if err := p.err(); err != nil {
		return Plan{}, err
	}
	p.assemble()
	return p.plan, nil
}

// planner holds what is known while a plan is made.
type planner struct {
	in       Input
	plan     Plan
	problems []problem
	// pairs are columns that are written twice, fills those that are filled where nobody gives a value.
	pairs []pair
	fills []fill
	// heirs are what takes the place, at contract, of what goes with the columns.
	heirs []heir
	// key is the primary key that the migration makes, once its columns are never null.
	key *Step
	// added are the columns that the migration makes, with their types; taken those that it takes away or gives another name.
	added map[string]string
	taken map[string]bool
	ids   map[string]int
	// indexing are the IDs of the steps that make an index of a partitioned table.
	indexing map[string]bool
	// moved says that it was said that columns change their places.
	moved bool
}

// problem is one reason why there is no plan.
type problem struct {
	class        fault.Class
	reason, hint string
}

// invalid is for what the author must write otherwise, refuse for what the world does not allow.
func (p *planner) invalid(hint, format string, args ...any) {
	p.problems = append(p.problems, problem{fault.Invalid, fmt.Sprintf(format, args...), hint})
}

func (p *planner) refuse(hint, format string, args ...any) {
	p.problems = append(p.problems, problem{fault.Refused, fmt.Sprintf(format, args...), hint})
}

func (p *planner) warn(format string, args ...any) {
	p.plan.Warnings = append(p.plan.Warnings, fmt.Sprintf(format, args...))
}

// err is every problem in one fault. What the author has to mend weighs more: the rest may go with it.
func (p *planner) err() error {
	if len(p.problems) == 0 {
		return nil
	}
	class, hint := fault.Refused, p.problems[0].hint
	reasons := make([]string, 0, len(p.problems))
	for _, one := range p.problems {
		if one.class == fault.Invalid {
			class = fault.Invalid
		}
		reason := one.reason
		if len(p.problems) > 1 {
			reason += ": " + one.hint
		}
		if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	if len(reasons) > 1 {
		hint = "Mend each of them, then plan again."
	}
	return fault.New(class, "plan migration", p.in.Migration.Name, hint, errors.New(strings.Join(reasons, "; ")))
}

// world looks at the table and its server.
func (p *planner) world() {
	t := p.in.Table
	name := shown(p.in.Migration.Table)
	schema, bare, dotted := strings.Cut(p.in.Migration.Table, ".")
	switch {
	case t.Managed && t.Pipeline != p.in.Release.Pipeline:
		p.refuse("write the migration in that pipeline's folder", "%s is made by pipeline %s, generation by generation", name, t.Pipeline)
	case t.Managed && t.Kind != partitioned:
		p.refuse("name the output itself", "%s is a part of an output of this pipeline", name)
	case t.Managed:
	case slices.Contains(p.in.Outputs, p.in.Migration.Table):
		p.refuse("deploy a release that makes it first, and leave the migration out until then", "%s is an output of this pipeline, and its releases have not made it yet", name)
		return
	case p.creates() && t.Kind != "":
		p.invalid("choose another name", "there is a %s %s in %s already", t.Kind, name, shown(t.Schema))
		return
	case p.creates():
		return
	case t.Kind == "" && dotted:
		p.refuse("write table: "+shown(bare)+", without "+shown(schema),
			"there is no table %s in %s, and the schema of a table is always its environment's", name, shown(t.Schema))
		return
	case t.Kind == "":
		p.refuse("name a table that is there, or make it first", "there is no table %s in %s", name, shown(t.Schema))
		return
	case t.Kind == Partitioned:
		p.partitions()
	case t.Kind == "partition":
		p.refuse("name the table that it is a part of", "%s is a partition, and its columns are those of its table", name)
	case t.Kind != Plain:
		p.refuse("name the table behind it", "%s is a %s, and only tables have columns of their own", name, t.Kind)
	}
	if t.Version < oldestVersion {
		p.refuse("use Postgres 14 or newer", "the server has version %s", versionText(t.Version))
	}
	if !t.Owned {
		p.refuse("let the owner make our login a member of the owning role", "our login may not alter %s", name)
	}
	if t.Open != "" {
		p.refuse("finish it, or roll it back", "%s is being migrated by %s", name, t.Open)
	}
}

// creates says that the migration makes its table.
func (p *planner) creates() bool {
	return slices.ContainsFunc(p.in.Migration.Operations, func(o Operation) bool { return o.Kind == CreateTable })
}

// operation plans one operation, once nothing about it contradicts another.
func (p *planner) operation(o Operation, r Recipe) {
	if p.in.Table.Version < r.Since {
		p.refuse("update the server first", "%s needs version %s, and the server has %s", o.Kind, versionText(r.Since), versionText(p.in.Table.Version))
		return
	}
	if p.plan.Given != nil {
		p.give(o)
		return
	}
	if p.partitioned() && !p.divided(o) {
		return
	}
	r.plan(p, o)
}

// step adds a step. Its ID is made of the phase, a verb and what it is about, and unique.
func (p *planner) step(phase Phase, verb, object string, s Step) {
	s.Phase = phase
	s.ID = strings.ReplaceAll(string(phase), "_", "-") + "-" + verb + "-" + slug(object)
	if p.ids == nil {
		p.ids = map[string]int{}
	}
	p.ids[s.ID]++
	if n := p.ids[s.ID]; n > 1 {
		s.ID = fmt.Sprintf("%s-%d", s.ID, n)
	}
	if s.Class == "" {
		s.Class = Instant
	}
	p.plan.Steps = append(p.plan.Steps, s)
}

// last is the ID of the step that was added last.
func (p *planner) last() string { return p.plan.Steps[len(p.plan.Steps)-1].ID }

func (p *planner) prove(name, broken string) {
	p.plan.Proofs = append(p.plan.Proofs, Proof{Name: name, Broken: broken})
}

// alter is an ALTER TABLE of the migration's table.
func (p *planner) alter(action string) string {
	return "ALTER TABLE " + p.table() + " " + action
}

func (p *planner) table() string    { return qualified(p.in.Table.Schema, p.in.Table.Name) }
func (p *planner) relation() string { return relation(p.in.Table.Schema, p.in.Table.Name) }
func (p *planner) ledger() string   { return p.in.Table.Schema + ledgerSuffix }

// column finds a column of the table that an operation changes, and says where there is none.
func (p *planner) column(o Operation, name string) (Column, bool) {
	c, ok := p.in.Table.Column(name)
	if !ok {
		p.invalid(p.columnsHint(), "%s names a column %s, and %s has none", o.Kind, shown(name), shown(p.in.Table.Name))
	}
	if c.Unproved != "" {
		p.refuse("prove it first: "+p.alter("VALIDATE CONSTRAINT "+quote(c.Unproved)), "the NOT NULL %s of %s is not valid: rows that were there before it may have none", shown(c.Unproved), shown(name))
		return c, false
	}
	return c, ok
}

func (p *planner) columnsHint() string {
	names := make([]string, len(p.in.Table.Columns))
	for i, c := range p.in.Table.Columns {
		names[i] = shown(c.Name)
	}
	return "its columns are " + strings.Join(names, ", ")
}

// add enters a column that the migration makes, and says where the name is not to be had.
func (p *planner) add(o Operation, name, typeName string) bool {
	if why := badName(name); why != "" {
		p.invalid("choose another name", "the name %s that %s needs %s", shown(name), o.Kind, why)
		return false
	}
	if _, exists := p.in.Table.Column(name); exists {
		p.invalid("choose another name", "%s would make a column %s, and %s has one of that name already", o.Kind, shown(name), shown(p.in.Table.Name))
		return false
	}
	if slices.Contains(systemColumns(), name) {
		p.invalid("choose another name", "%s is a name of the server's own", shown(name))
		return false
	}
	if _, twice := p.added[name]; twice {
		p.invalid("choose another name", "two operations would make a column %s", shown(name))
		return false
	}
	if p.added == nil {
		p.added = map[string]string{}
	}
	p.added[name] = typeName
	return true
}

// take enters a column that the migration takes away, or calls otherwise.
func (p *planner) take(name string) {
	if p.taken == nil {
		p.taken = map[string]bool{}
	}
	p.taken[name] = true
}

func systemColumns() []string {
	return []string{"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"}
}

// together looks at what operations mean for each other.
func (p *planner) together() {
	for _, o := range p.in.Migration.Operations {
		p.apart(o)
	}
}

// apart refuses what rests on a column that the same file takes away or calls otherwise.
func (p *planner) apart(o Operation) {
	rests := o.rests()
	for _, t := range expressionsOf(o) {
		if t.Expression == o.Check || t.Expression == o.Where {
			rests = append(rests, p.in.Table.Expressions[t.Key()].Columns...)
		}
	}
	for _, name := range rests {
		if p.taken[name] {
			p.invalid("write it in a migration of its own, after this one", "%s %s rests on %s, which the same file replaces or takes away", o.Kind, shown(o.Name), shown(name))
		}
	}
}

// assemble puts the plan together: what is written twice, what is brought over, and the steps in the order of their phases.
func (p *planner) assemble() {
	p.dualWrite()
	p.brownout()
	p.filling()
	p.readers()
	slices.SortStableFunc(p.plan.Steps, func(a, b Step) int { return p.rank(a) - p.rank(b) })
	if d := p.in.Migration.Deprecate; d.Window > 0 && len(p.plan.Of(Contract)) == 0 {
		p.warn("It takes nothing away, so there is no deprecation window.")
	}
}

// rank orders steps by their phases. Within expand, indexes come after the columns that they are over; within switch they come first, for they
// take long; within contract, the trigger goes before the columns that it reads.
func (p *planner) rank(s Step) int {
	rank := 3 * slices.Index(Phases(), s.Phase)
	switch {
	case s.Phase == Expand && p.makesIndex(s):
		rank++
		if s.Lock != ShareRowExclusive { // that of a partitioned table comes first: from then on a new partition brings its own
			rank++
		}
	case s.Phase == Switch && !p.makesIndex(s):
		rank++
	case s.Phase == Contract && s.ID != contractEnd:
		rank++
	}
	return rank
}

func (p *planner) makesIndex(s Step) bool { return s.Class == Concurrent || p.indexing[s.ID] }

// readers are those of the columns that are taken away, or of anything of a table that goes; what belongs to the table goes with it.
func (p *planner) readers() {
	seen := map[Reader]bool{}
	for _, r := range p.in.Table.Readers {
		if p.plan.Drops { // with everything of it
			r.Column = p.in.Table.Name
			if seen[r] || r.Kind == "trigger" || r.Kind == "policy" || r.Kind == "generated column" {
				continue
			}
			seen[r] = true
		}
		switch {
		case !p.taken[r.Column] && !p.plan.Drops:
		case r.Guessed:
			p.warn("The %s %s of %s may read %s: the name stands in its text.", r.Kind, shown(r.Name), shown(r.Owner), shown(r.Column))
		default:
			p.plan.Blocking = append(p.plan.Blocking, r)
		}
	}
}

func versionText(version int) string { return fmt.Sprintf("%d.%d", version/10000, version%10000) }
