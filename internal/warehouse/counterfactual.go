package warehouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/breach"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/postgres"
)

const (
	// standIns bounds the children of one view that stands in for an output: the server plans and locks each.
	standIns = 2000
	// laterTried bounds how many later workflows are tried, newest first.
	laterTried = 20
)

// MeasureWithout runs a watch check as if a workflow had published nothing: a temporary view stands in for each output, of
// the live children with the retired generation in the place of each that the workflow replaced. A partition that it
// published first stays, or with bare is left out. A check that reads past the views says nothing.
func (w *Warehouse) MeasureWithout(ctx context.Context, m check.Metric, owner string, bare bool) (breach.Without, error) {
	published, err := w.ledger.PublishedBy(ctx, w.pool, owner)
	if err != nil {
		return breach.Without{}, postgres.Classify("evaluate", m.Name, err)
	}
	if len(published) == 0 {
		return breach.Without{Why: "nothing that it published is live"}, nil
	}
	s := standIn{w: w, instead: map[string]map[partition.Key]int64{}}
	var out breach.Without
	for _, p := range published {
		if p.Before == 0 && !bare {
			out.Stayed++
			continue
		}
		if s.instead[p.Output] == nil {
			s.instead[p.Output] = map[partition.Key]int64{}
		}
		s.instead[p.Output][p.Partition] = p.Before
	}
	views, why, err := s.views(ctx)
	if err != nil || why != "" {
		out.Why = why
		return out, postgres.Classify("evaluate", m.Name, err)
	}
	found, err := w.measure(ctx, m, views)
	if class := fault.ClassOf(err); class != "" {
		out.Why = err.Error()
		return out, nil
	}
	if err != nil {
		return breach.Without{}, err
	}
	for output := range views {
		if slices.Contains(found.Reads, w.names.schema+"."+output) {
			out.Why = fmt.Sprintf("it reads %s by its full name, through a view or through a function with a search_path of its own", output)
			return out, nil
		}
	}
	out.Value = found.Value
	return out, nil
}

// PublishedLater lists who published, since a workflow first did, into what a check reads, newest first, each with those
// partitions of it that are still live: all outputs of a partition belong together.
func (w *Warehouse) PublishedLater(ctx context.Context, owner string, reads []string) ([]breach.Later, error) {
	var outputs []string
	for _, name := range reads {
		if output, ours := strings.CutPrefix(name, w.names.schema+"."); ours {
			outputs = append(outputs, output)
		}
	}
	publishers, err := w.ledger.PublishedAfter(ctx, w.pool, owner, outputs, laterTried)
	if err != nil {
		return nil, postgres.Classify("look for later runs than", owner, err)
	}
	var later []breach.Later
	for _, p := range publishers {
		published, err := w.ledger.PublishedBy(ctx, w.pool, p.Owner)
		if err != nil {
			return nil, postgres.Classify("look for later runs than", owner, err)
		}
		read := map[partition.Key]bool{}
		for _, one := range published {
			read[one.Partition] = read[one.Partition] || slices.Contains(outputs, one.Output)
		}
		published = slices.DeleteFunc(published, func(one breach.Placed) bool { return !read[one.Partition] })
		if len(published) > 0 {
			later = append(later, breach.Later{Owner: p.Owner, Pipeline: p.Pipeline, Published: published})
		}
	}
	return later, nil
}

// standIn makes the views that stand in for outputs.
type standIn struct {
	w       *Warehouse
	instead map[string]map[partition.Key]int64 // output → partition → the generation in the place of the live one; 0: none
}

// views are the statements that create them, by output; why says that one cannot be made.
func (s standIn) views(ctx context.Context) (views map[string]string, why string, err error) {
	views = map[string]string{}
	for _, output := range slices.Sorted(maps.Keys(s.instead)) {
		parent, err := s.w.findParent(ctx, s.w.pool, output)
		if err != nil {
			return nil, "", err
		}
		if parent.Kind != generation.Managed {
			return nil, output + " is not there any more", nil
		}
		ids, err := s.generations(ctx, output)
		if err != nil {
			return nil, "", err
		}
		if len(ids) > standIns {
			return nil, fmt.Sprintf("%s has %d partitions, more than %d", output, len(ids), standIns), nil
		}
		columns, err := s.columnsOf(ctx, ids)
		if err != nil {
			return nil, "", err
		}
		if views[output], why = s.view(output, parent, ids, columns); why != "" {
			return nil, why, nil
		}
	}
	return views, "", nil
}

// generations are those that readers would see.
func (s standIn) generations(ctx context.Context, output string) ([]int64, error) {
	live, err := s.w.ledger.Live(ctx, s.w.pool, []string{output})
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, g := range live {
		id, replaced := s.instead[output][g.Partition]
		if !replaced {
			id = g.ID
		}
		if id != 0 {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// columnsOf are the columns that the children of generations have; one whose child was dropped has none.
func (s standIn) columnsOf(ctx context.Context, ids []int64) (map[int64][]string, error) {
	names := make([]string, len(ids))
	byName := map[string]int64{}
	for i, id := range ids {
		names[i] = childName(id)
		byName[names[i]] = id
	}
	rows, err := s.w.pool.Query(ctx, `
		SELECT c.relname, a.attname
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
		WHERE n.nspname = $1 AND c.relname = ANY($2) AND a.attnum > 0 AND NOT a.attisdropped`, s.w.names.data(), names)
	if err != nil {
		return nil, err
	}
	columns := map[int64][]string{}
	var relation, column string
	_, err = pgx.ForEachRow(rows, []any{&relation, &column}, func() error {
		columns[byName[relation]] = append(columns[byName[relation]], column)
		return nil
	})
	return columns, err
}

// view is an output's columns over its generations, and over its legacy partition; a column that an older generation never had is NULL in it.
func (s standIn) view(output string, of parent, ids []int64, has map[int64][]string) (sql, why string) {
	columns, selects := of.Columns, make([]string, 0, len(ids))
	line := func(from string, there []string) string {
		list := make([]string, len(columns))
		for i, c := range columns {
			list[i] = fmt.Sprintf("NULL::%s AS %s", c.Type, postgres.Ident(c.Name))
			if slices.Contains(there, c.Name) {
				list[i] = postgres.Ident(c.Name)
			}
		}
		return "SELECT " + strings.Join(list, ", ") + from
	}
	for _, id := range ids {
		there, ok := has[id]
		if !ok {
			return "", fmt.Sprintf("generation %d of %s, which was live before, is dropped", id, output)
		}
		selects = append(selects, line(" FROM "+s.w.names.child(id), there))
	}
	if of.First != "" {
		selects = append(selects, line(" FROM "+s.w.names.legacy(output), columnNames(columns)))
	}
	if len(selects) == 0 {
		selects = append(selects, line(" WHERE false", nil))
	}
	return "CREATE TEMPORARY VIEW " + postgres.Ident(output) + " AS " + strings.Join(selects, "\nUNION ALL "), ""
}
