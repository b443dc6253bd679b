package main

import (
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChoosePorts(t *testing.T) {
	t.Parallel()
	preferred := Ports{Temporal: 7233, UI: 8233, Postgres: 5433}
	tests := map[string]struct {
		preferred Ports
		taken     []int
		want      Ports
	}{
		"free ports are kept":                   {preferred: preferred, want: preferred},
		"the next free port replaces a taken":   {preferred: preferred, taken: []int{5433, 5434}, want: Ports{Temporal: 7233, UI: 8233, Postgres: 5435}},
		"no port is given twice":                {preferred: Ports{Temporal: 9000, UI: 9000, Postgres: 9000}, want: Ports{Temporal: 9000, UI: 9001, Postgres: 9002}},
		"a replacement is not given twice":      {preferred: Ports{Temporal: 9000, UI: 9001, Postgres: 9002}, taken: []int{9000}, want: Ports{Temporal: 9001, UI: 9002, Postgres: 9003}},
		"the last port of all can still be had": {preferred: Ports{Temporal: 65535, UI: 1, Postgres: 2}, want: Ports{Temporal: 65535, UI: 1, Postgres: 2}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := choosePorts(tt.preferred, func(port int) bool { return !slices.Contains(tt.taken, port) })
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestChoosePortsGivesUp(t *testing.T) {
	t.Parallel()
	tried := 0
	_, err := choosePorts(Ports{Temporal: 65500, UI: 1000, Postgres: 2000}, func(int) bool { tried++; return false })
	require.ErrorContains(t, err, "no port is free")
	require.Equal(t, 36+100+100, tried)
}

func TestIsFree(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", host+":0")
	require.NoError(t, err)
	require.False(t, isFree(listener.Addr().(*net.TCPAddr).Port))
	require.NoError(t, listener.Close())

	// A port that was just given back may be another process's at once, ten in a row are not.
	free := false
	for range 10 {
		free = free || isFree(closedPort(t))
	}
	require.True(t, free, "none of ten ports that nobody listens on is free")
}

func closedPort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", host+":0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().(*net.TCPAddr).Port
}
