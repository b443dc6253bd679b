// Command drawbridge-devstack is Drawbridge's local stack in one process: a Temporal server on a SQLite file, its Web
// UI, and a private Postgres, for laptops and tests. Everything listens on 127.0.0.1 only, keeps its state in one
// directory, and survives restarts there. It is a Go module of its own, so that nothing of the Temporal server gets
// into the module graph or the images of Drawbridge.
//
// The directory, .drawbridge unless --dir names another, holds:
//
//	devstack.json   addresses and URLs of the running stack, see [Stack]; 0600, there only while the stack is ready
//	devstack.lock   held by the stack's process for as long as it lives
//	devstack.log    what the last start logged; devstack.log.1 is the start before
//	ports.json      the ports of the last start, taken again where they are free
//	temporal.db     Temporal's state
//	postgres        the cluster and its passwords, or a link to them where its account cannot enter the directory
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"drawbridge/devstack/postgres"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "drawbridge-devstack:", err)
		os.Exit(1)
	}
}

const usage = `The local stack of Drawbridge: Temporal, its Web UI and a private Postgres.

Usage: drawbridge-devstack COMMAND [--dir DIR] [--test]

Commands:
  up                start the stack in the background and wait until it is ready; does nothing where it runs
  serve             run the stack in the foreground
  down              stop the stack and keep its state
  status            print the addresses of the running stack; fail where none runs
  env               print what to export to use the running stack
  restart-postgres  restart Postgres under the running stack, ending all sessions
  crash-postgres    end Postgres at once, as a power cut does, and start it again
  clean             stop the stack and delete its state

Flags:
  --dir DIR         where the state lives (default .drawbridge)
  --test            with up and serve: any free ports, and a Postgres that does not survive a crash of the machine

A new Postgres is of the version that is installed, or else the newest. DRAWBRIDGE_POSTGRES=17 asks for a major version from
14 on; where it is not installed it is fetched.
`

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		_, err := io.WriteString(out, usage)
		return err
	}
	command, args := args[0], args[1:]
	if command == postgres.GuardCommand {
		return postgres.Guard(in, args)
	}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dir := flags.String("dir", ".drawbridge", "")
	test := flags.Bool("test", false, "")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w: see drawbridge-devstack help", err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see drawbridge-devstack help", flags.Arg(0))
	}
	h, err := openHome(*dir)
	if err != nil {
		return err
	}
	kind := lasting
	if *test {
		kind = passing
	}
	switch command {
	case "up":
		return up(ctx, h, kind, out)
	case "serve":
		return serve(ctx, h, kind)
	case "down":
		return down(ctx, h, out)
	case "status":
		return status(h, out)
	case "env":
		return env(h, out)
	case "restart-postgres":
		return restartPostgres(ctx, h, syscall.SIGHUP)
	case "crash-postgres":
		return restartPostgres(ctx, h, syscall.SIGUSR1)
	case "clean":
		return clean(ctx, h)
	default:
		return fmt.Errorf("unknown command %q: see drawbridge-devstack help", command)
	}
}
