package strictyaml_test

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/strictyaml"
)

// ticket is a table of every kind of value.
func ticket() strictyaml.Shape {
	return strictyaml.ObjectOf(
		strictyaml.Key{Name: "title", Required: true, Shape: strictyaml.Sentence(), Doc: "What it is about."},
		strictyaml.Key{Name: "code", Shape: strictyaml.Matching(regexp.MustCompile(`^[A-Z]{3}$`), "three capitals")},
		strictyaml.Key{Name: "size", Shape: strictyaml.OneOf("small", "large").Except("huge"), Preset: "small"},
		strictyaml.Key{Name: "share", Shape: strictyaml.Shape{Kind: strictyaml.Ratio}.UpTo(1)},
		strictyaml.Key{Name: "wait", Shape: strictyaml.Shape{Kind: strictyaml.Duration}},
		strictyaml.Key{Name: "count", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 1}},
		strictyaml.Key{Name: "owners", Shape: strictyaml.ListOf(strictyaml.Sentence()).OrElse(strictyaml.OneOf("all"))},
		strictyaml.Key{Name: "cells", Shape: strictyaml.DictOf(strictyaml.Shape{Kind: strictyaml.Cell})},
		strictyaml.Key{Name: "estimate", Later: true},
	)
}

func read(content string) (strictyaml.Value, error) {
	var f strictyaml.Findings
	v := f.Read(ticket(), "ticket.yaml", []byte(content))
	return v, f.Err("ticket")
}

func TestWhatFitsIsReadAsItsKind(t *testing.T) {
	t.Parallel()
	v, err := read("title: Mend it\nshare: 0.5%\nwait: 1d12h\ncount: 3\nowners: [ann, bob]\ncells: {a: 1, b: null, c: 007x}\n")
	require.NoError(t, err)
	require.Equal(t, "Mend it", strictyaml.As[string](v.Get("title")))
	require.InDelta(t, 0.005, strictyaml.As[float64](v.Get("share")), 1e-12)
	require.Equal(t, 36*time.Hour, strictyaml.As[time.Duration](v.Get("wait")))
	require.Equal(t, new(int64(3)), strictyaml.Pointer[int64](v.Get("count")))
	require.Equal(t, []string{"ann", "bob"}, v.Get("owners").Strings())
	require.Equal(t, []string{"a", "b", "c"}, v.Get("cells").Names(), "in the order of the author")
	require.Equal(t, strictyaml.Null{}, v.Get("cells").Get("b").Data)
	require.Equal(t, "small", strictyaml.As[string](v.Get("size")), "the preset")
	require.False(t, v.Get("code").OK())
	require.Nil(t, strictyaml.Pointer[string](v.Get("code")))
	require.Equal(t, strictyaml.Place{File: "ticket.yaml", Line: 2, Column: 1, Path: "share"}, v.KeyAt("share"))

	v, err = read("title: x\nowners: all\n")
	require.NoError(t, err)
	require.Equal(t, "all", strictyaml.As[string](v.Get("owners")), "the second form")
}

func TestAllProblemsComeAtOnceInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	v, err := read("code: abc\nsiz: large\nsize: huge\nshare: 5\ncount: 0\nowners: []\nestimate: 3\ncode: ABC\n")
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	problems, ok := strictyaml.ProblemsOf(err)
	require.True(t, ok)
	require.Equal(t, []string{
		"ticket.yaml:1:1: the key \"title\" is missing; What it is about.",
		"ticket.yaml:1:7: code: must be three capitals",
		"ticket.yaml:2:1: siz: unknown key; did you mean size?",
		"ticket.yaml:3:7: size: not supported yet: huge; use small or large",
		"ticket.yaml:4:8: share: a bare number is a share from 0 to 1: write 5%",
		"ticket.yaml:5:8: count: must be 1 or more",
		"ticket.yaml:6:9: owners: must not be empty",
		"ticket.yaml:7:1: estimate: not supported yet: estimate; remove the key",
		"ticket.yaml:8:1: code: the key is already given on line 1; remove one of the two",
	}, lines(problems))
	require.Empty(t, strictyaml.As[string](v.Get("code")), "what was refused reads as nothing")
}

func lines(problems strictyaml.Problems) []string {
	var all []string
	for _, p := range problems {
		all = append(all, p.String())
	}
	return all
}

func TestTheOwnerOfAFileAddsItsOwnProblems(t *testing.T) {
	t.Parallel()
	var f strictyaml.Findings
	require.NoError(t, f.Err("ticket"))
	v := f.Read(ticket(), "b.yaml", []byte("title: x\nsize: large"))
	f.Add(v.Get("size").At, "it does not fit the shelf", "take a smaller one")
	f.Add(strictyaml.Place{File: "a.yaml"}, "the file is missing", "")
	problems, _ := strictyaml.ProblemsOf(f.Err("tickets"))
	require.Equal(t, []string{
		"a.yaml: the file is missing",
		"b.yaml:2:7: size: it does not fit the shelf; take a smaller one",
	}, lines(problems))
}

func TestNearestIsATypoAwayAndNoFurther(t *testing.T) {
	t.Parallel()
	valid := []string{"version", "owner", "watch"}
	require.Equal(t, "version", strictyaml.Nearest("verison", valid), "neighbours are swapped")
	require.Equal(t, "owner", strictyaml.Nearest("Ownr", valid))
	require.Empty(t, strictyaml.Nearest("tests", valid))
	require.Equal(t, "use version, owner or watch", strictyaml.DidYouMean("tests", valid))
}

func TestTheJSONSchemaSaysWhatTheTableSays(t *testing.T) {
	t.Parallel()
	body, err := strictyaml.JSONSchema("a ticket", ticket())
	require.NoError(t, err)
	var schema struct {
		Schema     string `json:"$schema"`
		Title      string
		Required   []string
		Additional bool `json:"additionalProperties"`
		Properties map[string]map[string]any
	}
	schema.Additional = true
	require.NoError(t, json.Unmarshal(body, &schema))
	require.Equal(t, "https://json-schema.org/draft/2020-12/schema", schema.Schema)
	require.Equal(t, "a ticket", schema.Title)
	require.Equal(t, []string{"title"}, schema.Required)
	require.False(t, schema.Additional)
	require.Equal(t, "^[A-Z]{3}$", schema.Properties["code"]["pattern"])
	require.Equal(t, "small", schema.Properties["size"]["default"])
	require.NotContains(t, schema.Properties, "estimate", "what is not carried out is not offered")
	walked := map[string]bool{}
	for path := range ticket().Walk() {
		walked[path] = true
	}
	for name := range schema.Properties {
		require.True(t, walked[name], name)
	}
	require.Len(t, walked, len(schema.Properties))
}
