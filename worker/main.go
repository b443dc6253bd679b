// Command drawbridge-worker serves environments: it holds their credentials and policies, builds, publishes and turns
// back, and, with --workflows, decides.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"drawbridge/internal/fault"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := Run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}

// Run serves until ctx ends, and returns the exit code: 0 for a graceful stop, 1 for a worker that cannot work.
func Run(ctx context.Context, args []string, stderr io.Writer) int {
	var o options
	cmd := &cobra.Command{
		Use:           "drawbridge-worker --env ENV [--env ENV …] [--workflows]",
		Short:         "Serve environments: build, publish and turn back in their warehouses",
		Example:       "  drawbridge-worker --env dev --env staging --workflows --policies policies\n  drawbridge-worker --env prod --policies /etc/drawbridge",
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(stderr, o.logFormat)
			if err != nil {
				return err
			}
			defer func() { _ = log.Sync() }()
			return serve(cmd.Context(), o, log)
		},
	}
	cmd.SetArgs(args)
	cmd.SetErr(stderr)
	o.flags(cmd)
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(stderr, "drawbridge-worker: %s\n", err)
		if hint := fault.HintOf(err); hint != "" {
			fmt.Fprintf(stderr, "→ %s\n", hint)
		}
		return 1
	}
	return 0
}

// newLogger writes structured lines to w: JSON, or a form for people.
func newLogger(w io.Writer, format string) (*zap.Logger, error) {
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.ISO8601TimeEncoder
	var encoder zapcore.Encoder
	switch format {
	case "json":
		encoder = zapcore.NewJSONEncoder(config)
	case "console":
		encoder = zapcore.NewConsoleEncoder(config)
	default:
		return nil, fault.Newf(fault.Invalid, "start worker with --log", format, "use json or console", "the format is not known")
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), zap.InfoLevel)), nil
}
