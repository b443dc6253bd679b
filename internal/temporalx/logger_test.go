package temporalx_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"drawbridge/internal/temporalx"
)

func setup(t *testing.T) (log.Logger, *observer.ObservedLogs) {
	t.Helper()
	core, lines := observer.New(zapcore.DebugLevel)
	return temporalx.NewLogger(zap.New(core, zap.AddCaller(), zap.Development())), lines
}

func TestLoggerTakesAnyKeysAndValues(t *testing.T) {
	t.Parallel()
	cause := errors.New("gone")
	for name, tc := range map[string]struct {
		keyvals []any
		want    map[string]any
	}{
		"none":                    {nil, map[string]any{}},
		"pairs":                   {[]any{"Attempt", 2, "Queue", "q"}, map[string]any{"Attempt": int64(2), "Queue": "q"}},
		"a value without a key":   {[]any{"Attempt", 2, "lost"}, map[string]any{"Attempt": int64(2), "unnamed": "lost"}},
		"a key that is no string": {[]any{7, "seven"}, map[string]any{"7": "seven"}},
		"an error":                {[]any{"Error", cause}, map[string]any{"Error": "gone"}},
		"a nil value":             {[]any{"Nothing", nil}, map[string]any{"Nothing": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, lines := setup(t)
			l.Error("message", tc.keyvals...)
			require.Equal(t, 1, lines.Len())
			require.Equal(t, tc.want, lines.All()[0].ContextMap())
		})
	}
}

func TestLoggerKeepsLevels(t *testing.T) {
	t.Parallel()
	l, lines := setup(t)
	l.Debug("d")
	l.Info("i")
	l.Warn("w")
	l.Error("e")
	var levels []zapcore.Level
	for _, line := range lines.All() {
		levels = append(levels, line.Level)
	}
	require.Equal(t, []zapcore.Level{zapcore.DebugLevel, zapcore.InfoLevel, zapcore.WarnLevel, zapcore.ErrorLevel}, levels)
}

func TestLoggerWithLeavesTheParentAlone(t *testing.T) {
	t.Parallel()
	l, lines := setup(t)
	log.With(l, "WorkflowID", "deploy/shop").Info("child")
	l.Info("parent")
	require.Equal(t, map[string]any{"WorkflowID": "deploy/shop"}, lines.All()[0].ContextMap())
	require.Empty(t, lines.All()[1].ContextMap())
}

func TestLoggerNamesItsCaller(t *testing.T) {
	t.Parallel()
	l, lines := setup(t)
	l.Info("direct")
	func() { log.Skip(l, 1).Info("through a helper") }()
	for _, line := range lines.All() {
		require.Contains(t, line.Caller.Function, "TestLoggerNamesItsCaller")
		require.NotContains(t, line.Caller.File, "logger.go")
	}
	require.NotContains(t, lines.All()[1].Caller.Function, "func1", "the helper's frame is skipped")
}
