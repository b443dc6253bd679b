package temporalx

import (
	"fmt"

	"go.temporal.io/sdk/log"
	"go.uber.org/zap"
)

// NewLogger hands the SDK's log lines to zap, with the SDK's tags as fields and the caller's place in the code. A list of
// keys and values that is odd, or whose keys are no strings, loses nothing and never panics: the SDK's callers are not
// checked by the compiler.
func NewLogger(l *zap.Logger) log.Logger {
	return logger{zap: l.WithOptions(zap.AddCallerSkip(1))}
}

func silence() log.Logger { return NewLogger(zap.NewNop()) }

type logger struct{ zap *zap.Logger }

var (
	_ log.WithLogger      = logger{}
	_ log.WithSkipCallers = logger{}
)

func (l logger) Debug(msg string, keyvals ...any) { l.zap.Debug(msg, fields(keyvals)...) }
func (l logger) Info(msg string, keyvals ...any)  { l.zap.Info(msg, fields(keyvals)...) }
func (l logger) Warn(msg string, keyvals ...any)  { l.zap.Warn(msg, fields(keyvals)...) }
func (l logger) Error(msg string, keyvals ...any) { l.zap.Error(msg, fields(keyvals)...) }

// With returns a logger that puts the fields before those of each line.
func (l logger) With(keyvals ...any) log.Logger { return logger{zap: l.zap.With(fields(keyvals)...)} }

// WithCallerSkip returns a logger for a helper of that many frames.
func (l logger) WithCallerSkip(skip int) log.Logger {
	return logger{zap: l.zap.WithOptions(zap.AddCallerSkip(skip))}
}

// orphanKey names a value that came without a key.
const orphanKey = "unnamed"

func fields(keyvals []any) []zap.Field {
	out := make([]zap.Field, 0, (len(keyvals)+1)/2)
	for i := 0; i < len(keyvals); i += 2 {
		if i+1 == len(keyvals) {
			return append(out, zap.Any(orphanKey, keyvals[i]))
		}
		key, ok := keyvals[i].(string)
		if !ok {
			key = fmt.Sprint(keyvals[i])
		}
		out = append(out, zap.Any(key, keyvals[i+1]))
	}
	return out
}
