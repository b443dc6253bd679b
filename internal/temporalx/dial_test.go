package temporalx_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/temporalx"
)

type environment map[string]string

func (e environment) Environ() []string {
	var all []string
	for k, v := range e {
		all = append(all, k+"="+v)
	}
	return all
}

func (e environment) LookupEnv(key string) (string, bool) { v, ok := e[key]; return v, ok }

// nowhere is an address at which nothing listens.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// deaf is an address at which connections are taken and never answered.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l.Addr().String()
}

func TestDialSaysWhatToDo(t *testing.T) {
	t.Parallel()
	closed, silent := nowhere(t), deaf(t)
	for name, tc := range map[string]struct {
		env   environment
		opts  temporalx.Options
		class fault.Class
		text  string
		hint  string
	}{
		"nothing listens":                       {environment{"TEMPORAL_ADDRESS": closed}, temporalx.Options{}, fault.Invalid, closed, "make up"},
		"nothing answers":                       {environment{"TEMPORAL_ADDRESS": silent}, temporalx.Options{}, fault.Invalid, silent, "make up"},
		"the stack's address where none is set": {environment{}, temporalx.Options{Address: closed}, fault.Invalid, closed, "make up"},
		"the environment wins over the stack":   {environment{"TEMPORAL_ADDRESS": closed}, temporalx.Options{Address: silent}, fault.Invalid, closed, "make up"},
		"a profile that is not there":           {environment{"TEMPORAL_PROFILE": "nobody"}, temporalx.Options{}, fault.Invalid, "nobody", "TEMPORAL_PROFILE"},
		"host verification turned off": {
			environment{"TEMPORAL_ADDRESS": closed, "TEMPORAL_TLS": "true", "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION": "true"},
			temporalx.Options{},
			fault.Refused, "host verification", "TEMPORAL_TLS_SERVER_NAME",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.env["TEMPORAL_CONFIG_FILE"] = t.TempDir() + "/none.toml"
			tc.opts.Env = tc.env
			started := time.Now()
			_, err := temporalx.Dial(t.Context(), tc.opts)
			require.Less(t, time.Since(started), temporalx.DialTimeout+time.Second)
			require.Equal(t, tc.class, fault.ClassOf(err))
			require.ErrorContains(t, err, tc.text)
			require.Contains(t, fault.HintOf(err), tc.hint)
		})
	}
}
