package partition_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/partition"
)

// A list may gain values and lose values, and be declared in another order. What is live under a name stays what it says.
func TestListsCutAlikeWhereNothingChangesItsName(t *testing.T) {
	t.Parallel()
	is := valued(partition.Value{Key: "web", Text: "1"}, partition.Value{Key: "none", Null: true})
	for name, tc := range map[string]struct {
		other partition.Scheme
		same  bool
	}{
		"itself":             {is, true},
		"another order":      {valued(partition.Value{Key: "none", Null: true}, partition.Value{Key: "web", Text: "1"}), true},
		"one more":           {valued(partition.Value{Key: "web", Text: "1"}, partition.Value{Key: "store", Text: "2"}, partition.Value{Key: "none", Null: true}), true},
		"one less":           {valued(partition.Value{Key: "web", Text: "1"}), true},
		"a name for another": {valued(partition.Value{Key: "web", Text: "2"}), false},
		"another name":       {valued(partition.Value{Key: "net", Text: "1"}), false},
		"NULL under another": {valued(partition.Value{Key: "rest", Null: true}), false},
		"a value for NULL":   {valued(partition.Value{Key: "none", Text: ""}), false},
		"another column":     {partition.Scheme{By: partition.List, Column: "other", Values: is.Values}, false},
		"another grain":      {by(partition.Day, ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.same, is.Same(tc.other))
			require.Equal(t, tc.same, tc.other.Same(is))
		})
	}
}

func TestAListIsKeptAsItIsDeclared(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var all []partition.Value
		for i, text := range rapid.SliceOfDistinct(rapid.String(), rapid.ID[string]).Draw(t, "values") {
			all = append(all, partition.Value{Key: partition.Key("v" + strconv.Itoa(i)), Text: text})
		}
		all = append(all, partition.Value{Key: partition.NullKey, Null: true})
		s := valued(all...)
		require.Equal(t, all, s.Values.All())
		text, err := json.Marshal(s)
		require.NoError(t, err)
		var read partition.Scheme
		require.NoError(t, json.Unmarshal(text, &read))
		require.Equal(t, s, read)
		for _, v := range all {
			found, err := read.Value(v.Key)
			require.NoError(t, err)
			require.Equal(t, v, found)
		}
	})
}
