package plan_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/fieldtest"
	"drawbridge/internal/plan"
)

func TestSameInputGivesTheSameDigest(t *testing.T) {
	t.Parallel()
	first, again := compute(t, addsCurrency()), compute(t, addsCurrency())
	require.Equal(t, first.Digest, again.Digest)
	require.NotEqual(t, compute(t).Digest, compute(t, addsCurrency()).Digest)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	p := compute(t)
	require.NoError(t, plan.Verify(p))

	body, err := json.Marshal(p)
	require.NoError(t, err)
	var read plan.Plan
	require.NoError(t, json.Unmarshal(body, &read))
	require.NoError(t, plan.Verify(read), "a plan survives its JSON")

	sum := sha256.Sum256(plan.Canonical(p))
	require.Equal(t, "sha256:"+hex.EncodeToString(sum[:]), p.Digest, "a store that addresses by content knows the plan by its digest")

	p.Environments[0].Approval.Required = false
	require.Equal(t, fault.Conflict, fault.ClassOf(plan.Verify(p)))
	p.Digest = ""
	require.Error(t, plan.Verify(p))
}

// TestEveryDecidedFieldIsDigested fills every field of a plan and changes one after another, so that a field that is
// added later is covered too.
func TestEveryDecidedFieldIsDigested(t *testing.T) {
	t.Parallel()
	var p plan.Plan
	fieldtest.Value(reflect.ValueOf(&p).Elem(), set)
	plan.Seal(&p)
	sealed := p.Digest
	decided, shown := 0, 0
	walk(reflect.ValueOf(&p).Elem(), "", func(path string) {
		if path == ".Digest" {
			return
		}
		plan.Seal(&p)
		if strings.HasPrefix(path, ".Environments[0].Shown") {
			shown++
			require.Equal(t, sealed, p.Digest, "%s is only shown", path)
			return
		}
		decided++
		require.NotEqual(t, sealed, p.Digest, "%s is decided", path)
	})
	p.Digest = sealed
	require.NoError(t, plan.Verify(p), "every change was undone")
	require.Greater(t, decided, 60)
	require.GreaterOrEqual(t, shown, 5)
}

// set gives a field a value that is not zero.
func set(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Struct, reflect.Pointer, reflect.Slice, reflect.Map:
		return false
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(0.07)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Interface:
		v.Set(reflect.ValueOf("x"))
	default:
		panic(fmt.Sprintf("say how a %s is filled", v.Type()))
	}
	return true
}

// walk changes every value under v in turn, calls changed with its path, and puts it back. Slices, maps and pointers
// are also emptied.
func walk(v reflect.Value, path string, changed func(path string)) {
	with := func(path string, other reflect.Value) {
		before := reflect.New(v.Type()).Elem()
		before.Set(v)
		v.Set(other)
		changed(path)
		v.Set(before)
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), path+"."+v.Type().Field(i).Name, changed)
		}
	case reflect.Pointer:
		with(path, reflect.Zero(v.Type()))
		walk(v.Elem(), path, changed)
	case reflect.Slice:
		with(path, reflect.Zero(v.Type()))
		with(path, reflect.Append(v, v.Index(0)))
		for i := range v.Len() {
			walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), changed)
		}
	case reflect.Map:
		with(path, reflect.Zero(v.Type()))
	case reflect.String:
		with(path, reflect.ValueOf("y").Convert(v.Type()))
	case reflect.Int, reflect.Int64:
		with(path, reflect.ValueOf(8).Convert(v.Type()))
	case reflect.Float64:
		with(path, reflect.ValueOf(0.08))
	case reflect.Bool:
		with(path, reflect.ValueOf(!v.Bool()))
	default:
		panic(fmt.Sprintf("say how a %s is changed", v.Type()))
	}
}
