package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// srvQuick is in seconds, on a busy machine.
const srvQuick = 30 * time.Second

// srvLooks are the commands that only look at what is in dev.
func srvLooks(folder string) [][]string {
	return [][]string{
		{"doctor", shop, "--env", "dev"},
		{"history", shop, "--env", "dev"},
		{"checksum", shop, "--env", "dev", "--output", "orders"},
		{"diff", shop, "--env", "dev", "--output", "orders", "--partition", middleDay},
		{"plan", folder, "--to", "dev"},
		{"validate", folder, "--env", "dev"},
		{"rollback", shop, "--env", "dev", "--dry-run", "--reason", "to see what would happen"},
		{"status", shop},
		{"inbox"},
		{"cancel", shop},
	}
}

// A warehouse that accepts and never answers is the trouble of its own environment only, and is told.
func TestASilentWarehouseStopsNoOtherEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	silent := w.truListen(true)
	w.policy("staging", "approval: {required: false}\nconnections: {warehouse: {url: \"postgres://u@"+silent.host+":"+silent.port+"/x?sslmode=disable\"}}\n")
	w.worker("worker", everything()...)
	folder := w.release("1.0.0")
	w.cli(0, "deploy", folder, "--to", "dev")
	w.cli(0, "deploy", folder, "--to", "staging", "--detach")
	w.await("the silent warehouse to be called", func() bool { return silent.met() > 0 })
	for _, args := range [][]string{
		{"history", shop, "--env", "dev"}, {"run", "shop@1.0.0", "--env", "dev", "--partition", middleDay}, {"plan", folder, "--to", "dev"},
	} {
		a, ended := w.truWithin(srvQuick, args...)
		require.True(t, ended, "%s waits for another environment's warehouse", args)
		require.Zero(t, a.code, a.out+a.err)
	}
	a, ended := w.truWithin(truBrief, "history", shop, "--env", "staging")
	require.True(t, ended, "nobody says that the warehouse does not answer")
	require.NotZero(t, a.code, a.out)
	require.Contains(t, a.out+a.err, "staging")
}

// srvSilence is a world whose warehouse was there, and where nothing listens any more for its worker.
func srvSilence(t *testing.T) (w *world, folder string) {
	t.Helper()
	w, first := liveInDev(t)
	first.kill()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	good := w.url
	u, err := url.Parse(good)
	require.NoError(t, err)
	u.Host = l.Addr().String()
	require.NoError(t, l.Close())
	w.url = u.String()
	w.worker("second", "--env", "dev", "--workflows")
	w.url = good
	return w, w.withCurrency("1.1.0")
}

// Where nothing listens, every command says so in seconds.
func TestAnUnreachableWarehouseIsSaidInSeconds(t *testing.T) {
	t.Parallel()
	w, folder := srvSilence(t)
	for _, args := range srvLooks(folder)[:7] {
		a, ended := w.truWithin(srvQuick, args...)
		require.True(t, ended, "%s says nothing", args)
		require.NotZero(t, a.code, a.out)
		require.Regexp(t, `(?i)reach`, a.out+a.err, args)
	}
	for _, args := range [][]string{{"run", "shop@1.0.0", "--env", "dev", "--partition", middleDay}, {"deploy", folder, "--to", "dev"}} {
		a, _ := w.truWithin(srvQuick, args...) // these may wait for it, and say so
		require.Regexp(t, `(?i)reach`, a.out+a.err, args)
	}
}

// A password with a character that a URL may not have is not a riddle.
func TestAPasswordThatIsNotEncodedIsExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.url
	folder := w.release("1.0.0")
	for i, password := range []string{"pa#ss/word9", "pa?ss/word9", "pa%zzword9"} {
		u, err := url.Parse(good)
		require.NoError(t, err)
		w.url = "postgres://" + u.User.Username() + ":" + password + "@" + u.Host + u.Path
		p := w.worker(fmt.Sprintf("worker%d", i), "--env", "dev", "--workflows")
		w.url = good
		for _, args := range [][]string{{"plan", folder, "--to", "dev"}, {"validate", folder, "--env", "dev"}} {
			a, ended := w.truWithin(srvQuick, args...)
			require.True(t, ended, args)
			require.NotZero(t, a.code, a.out)
			require.Contains(t, strings.ToLower(a.out+a.err), "percent-encode", args)
			require.NotContains(t, a.out+a.err, password)
		}
		p.kill()
	}
	w.never("ss/word9", "zzword9")
}

// srvNever runs what can never work, and asserts that it is said at once.
func (w *world) srvNever(name string, s truSpec) {
	w.t.Helper()
	s.partition = "{by: day, column: pd}"
	folder := w.truFolder(name, "1.0.0", s)
	a, ended := w.truWithin(srvQuick, "run", folder, "--env", "dev", "--partition", newestDay)
	if !ended {
		status, _ := w.truWithin(srvQuick, "status", "run/"+name+"/dev/"+newestDay)
		require.True(w.t, ended, "it is tried again and again\n%s", status.out)
	}
	require.Equal(w.t, 1, a.code, "it can never work\n%s%s", a.out, a.err)
	require.Less(w.t, len(a.out)+len(a.err), 16<<10)
}

// More columns than a table may have.
func TestMoreColumnsThanATableMayHaveAreInvalidAtOnce(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	var head, row []string
	for i := range 1650 {
		head, row = append(head, fmt.Sprintf("c%d", i)), append(row, "1")
	}
	w.write("source/data/columns_"+newestDay+".csv", strings.Join(head, ",")+"\n"+strings.Join(row, ",")+"\n")
	w.srvNever("columns", truSpec{
		columns: "{c0: int}", sql: "SELECT @partition_start::date AS pd, c0, c1 FROM raw", output: "    checks:\n      - row_count: {min: 0}\n",
	})
}

// A key that is too long for an index.
func TestAKeyThatIsTooLongIsInvalidAtOnce(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	random := rand.New(rand.NewPCG(1, 2))
	link := make([]byte, 8000) // too many different letters to be compressed below the limit
	for i := range link {
		link[i] = letters[random.IntN(len(letters))]
	}
	w.write("source/data/links_"+newestDay+".csv", "id,url\n1,"+string(link)+"\n")
	w.srvNever("links", truSpec{
		columns: "{id: int}", sql: "SELECT @partition_start::date AS pd, raw.* FROM raw",
		output: "    key: [url]\n    checks:\n      - row_count: {min: 0}\n",
	})
	w.never(string(link[:40]))
}

// A SELECT that is too deep for the server.
func TestASelectThatIsTooComplexIsInvalidAtOnce(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	w.write("source/data/terms_"+newestDay+".csv", "id\n1\n")
	w.srvNever("terms", truSpec{
		columns: "{id: int}", sql: "SELECT @partition_start::date AS pd, id" + strings.Repeat(" + 0", 20_000) + " AS id FROM raw",
		output: "    checks:\n      - row_count: {min: 0}\n",
	})
}

// Whoever is killed at short work is taken over as quickly as at long work.
func TestShortWorkIsTakenOverInSeconds(t *testing.T) {
	t.Parallel()
	w, first := liveInDev(t)
	h := w.hold("dev", "active", "true")
	w.rebuild(w.withCurrency("1.1.0"))
	h.reached()
	first.kill()
	h.release()
	w.worker("second", "--env", "dev", "--workflows")
	var s status
	require.True(t, w.becomes(35*time.Second, func() bool {
		s = w.status(shop)
		return s.Stage.Finished()
	}), "nobody takes it over: %s, %s", s.Stage, s.Sentence)
	w.done(fiveFilled, "1.1.0")
}

// Commands that look end in seconds, whatever has died a moment ago.
func TestWhoeverLooksIsToldInSecondsWhateverDied(t *testing.T) {
	t.Parallel()
	for name, dies := range map[string]string{"the worker of dev": "acts", "the worker of the workflows": "decides"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			workers := map[string]*worker{
				"decides": w.worker("decides", "--workflows"), "acts": w.worker("acts", "--env", "dev"),
			}
			w.cli(0, "deploy", w.release("1.0.0"), "--to", "dev")
			folder := w.withCurrency("1.1.0")
			workers[dies].kill()
			for _, args := range srvLooks(folder) {
				_, ended := w.truWithin(srvQuick, args...)
				require.True(t, ended, "%s does not end", args)
			}
		})
	}
}
