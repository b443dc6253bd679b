package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
)

func TestAVersionIsNamedInFullOrNotAtAll(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set       map[string]string
		versioned bool
		class     fault.Class
	}{
		"none":           {},
		"both":           {set: map[string]string{deploymentName: "drawbridge", buildID: "a1"}, versioned: true},
		"the name alone": {set: map[string]string{deploymentName: "drawbridge"}, class: fault.Invalid},
		"build alone":    {set: map[string]string{buildID: "a1"}, class: fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := versioned(func(key string) string { return c.set[key] })
			require.Equal(t, c.class, fault.ClassOf(err))
			require.Equal(t, c.versioned, o.UseVersioning)
			require.Equal(t, c.set[buildID] != "" && c.versioned, o.Version.BuildID == "a1")
		})
	}
}
