package e2e_test

import (
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// truBrief is how long a command may take that has to look at servers that cannot be used.
const truBrief = 40 * time.Second

// However a config writes it, the credential of the environment goes to the host of the environment and to no other.
func TestASecretGoesToNoForeignHost(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	w.truDays("leak", "a", newestDay)
	const secret = "${env:" + credential + "}"
	for i, c := range []struct{ name, warehouse string }{
		{"as the password of a URL", "postgres://u:" + secret + "@HOST:PORT/x?sslmode=disable"},
		{"as the password of keywords", "host=HOST port=PORT user=u dbname=x sslmode=disable password='" + secret + "'"},
		{"with a host after it", secret + "&host=HOST&port=PORT"},
		{"as the user", "postgres://" + secret + "@HOST:PORT/x?sslmode=disable"},
	} {
		s := w.truListen(false)
		line := strings.NewReplacer("HOST", s.host, "PORT", s.port).Replace(c.warehouse)
		folder := w.truFolder("leak", "1.0."+string(rune('0'+i)), truSpec{config: "warehouse: \"" + line + "\"\nsource_files: .\n"})
		a, ended := w.truWithin(truBrief, "plan", folder, "--to", "dev")
		require.Zero(t, s.told(), "%s: a foreign host was told a password", c.name)
		require.Zero(t, s.met(), "%s: a foreign host was called", c.name)
		require.True(t, ended, "%s: the plan is refused at once", c.name)
		require.NotZero(t, a.code, "%s\n%s", c.name, a.out)
	}
}

// A config names no file of the worker by way of its connection: neither passwords, nor services, nor keys.
func TestAConfigReadsNoCredentialFile(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	w.truDays("leak", "a", newestDay)
	s := w.truListen(false)
	w.write("outside/passwords", s.host+":"+s.port+":*:*:"+planted+"\n")
	require.NoError(t, os.Chmod(w.path("outside/passwords"), 0o600)) // or it is not read
	w.write("outside/services", "[any]\nhost="+s.host+"\nport="+s.port+"\nuser=u\ndbname=x\nsslmode=disable\npassword="+planted+"\n")
	for i, c := range []struct{ name, warehouse string }{
		{"passfile", "postgres://u@" + s.host + ":" + s.port + "/x?sslmode=disable&passfile=" + w.path("outside/passwords")},
		{"service", "postgres:///?servicefile=" + w.path("outside/services") + "&service=any"},
		{"keywords", "host=" + s.host + " port=" + s.port + " user=u dbname=x sslmode=disable passfile=" + w.path("outside/passwords")},
	} {
		folder := w.truFolder("leak", "1.0."+string(rune('0'+i)), truSpec{config: "warehouse: \"" + c.warehouse + "\"\nsource_files: .\n"})
		a, ended := w.truWithin(truBrief, "plan", folder, "--to", "dev")
		require.Empty(t, s.heard(), "%s: what is in a file of the worker was sent away", c.name)
		require.True(t, ended, "%s: the plan is refused at once", c.name)
		require.NotZero(t, a.code, "%s\n%s", c.name, a.out)
		require.NotContains(t, a.out+a.err, w.path("outside"), "%s: a sentence about the file says whether it is there", c.name)
	}
	// A key is read before anything is sent, so a missing one is seen in what is said.
	for i, file := range []string{"passwords", "nothing"} {
		folder := w.truFolder("leak", "1.1."+string(rune('0'+i)), truSpec{config: "warehouse: \"postgres://u@" + s.host + ":" + s.port +
			"/x?sslmode=require&sslcert=" + w.path("outside/"+file) + "&sslkey=" + w.path("outside/"+file) + "\"\nsource_files: .\n"})
		a, ended := w.truWithin(truBrief, "plan", folder, "--to", "dev")
		require.True(t, ended, "the plan is refused at once")
		require.NotZero(t, a.code, a.out)
	}
	require.Zero(t, s.met(), "a foreign host was called")
	w.never(planted)
}

// On a laptop nobody writes a policy: the scaffold goes live with what the local stack exports.
func TestALaptopNeedsNoPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.truPlainWorker("plain", "--env", "dev", "--workflows")
	w.cli(0, "init", "sales")
	w.cli(0, "validate", "sales", "--env", "dev")
	w.cli(0, "plan", "sales", "--to", "dev")
	a := w.try("deploy", "sales", "--to", "dev")
	if a.code == 4 { // the policy that nobody wrote asks one person
		w.cli(0, "approve", "sales", "--as", "grace", "--reason", "looks right", "--watch")
	} else {
		require.Zero(t, a.code, a.out+a.err)
	}
	require.NotZero(t, w.number(`SELECT count(*) FROM sales_dev.fct_orders`))
	require.NotContains(t, p.output(), w.password())
}

// Whatever is wrong with a connection, nothing of its credential is in what is said, logged or recorded.
func TestNoErrorOfAConnectionHoldsItsCredential(t *testing.T) {
	t.Parallel()
	const user, password, database = "planted_user", "planted_password", "planted_database"
	for name, make := range map[string]func(w *world, good *url.URL) string{
		"authentication": func(_ *world, good *url.URL) string {
			return "postgres://" + user + ":" + password + "@" + good.Host + "/" + database + "?sslmode=disable"
		},
		"database": func(_ *world, good *url.URL) string {
			u := *good
			u.Path = "/" + database
			return u.String()
		},
		"parameter": func(_ *world, good *url.URL) string {
			return good.String() + "&search_path_of_nobody=" + password
		},
		"TLS": func(_ *world, good *url.URL) string {
			return "postgres://" + user + ":" + password + "@" + good.Host + "/" + database + "?sslmode=require"
		},
		"name": func(*world, *url.URL) string {
			return "postgres://" + user + ":" + password + "@warehouse.invalid:5432/" + database + "?sslmode=disable"
		},
		"timeout": func(w *world, _ *url.URL) string {
			s := w.truListen(true)
			return "postgres://" + user + ":" + password + "@" + s.host + ":" + s.port + "/" + database + "?sslmode=disable"
		},
		"syntax": func(*world, *url.URL) string {
			return "postgres://" + user + ":" + password + "@127.0.0.1:54%zz/" + database
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.truDays("leak", "a", newestDay)
			good, err := url.Parse(w.url)
			require.NoError(t, err)
			w.url = make(w, good)
			w.worker("worker", "--env", "dev", "--workflows")
			w.url = good.String()
			folder := w.truFolder("leak", "1.0.0", truSpec{})
			for _, args := range [][]string{
				{"validate", folder, "--env", "dev"}, {"plan", folder, "--to", "dev"}, {"run", folder, "--env", "dev", "--partition", newestDay},
			} {
				a, _ := w.truWithin(10*time.Second, args...)
				require.NotZero(t, a.code, a.out)
			}
			w.never(user, password, database)
		})
	}
}

// A config that hands the secret to a parameter which servers repeat in their refusal is refused without a word of it.
func TestASecretInAnotherParameterIsNotRepeated(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	w.truDays("leak", "a", newestDay)
	good, err := url.Parse(w.url)
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(good.Host)
	require.NoError(t, err)
	for i, parameter := range []string{"user", "dbname"} {
		line := "host=" + host + " port=" + port + " user=u dbname=postgres sslmode=disable password=${env:" + credential + "}"
		line = strings.Replace(line, parameter+"="+map[string]string{"user": "u", "dbname": "postgres"}[parameter], parameter+"=${env:"+credential+"}", 1)
		folder := w.truFolder("leak", "1.0."+string(rune('0'+i)), truSpec{config: "warehouse: \"" + line + "\"\nsource_files: .\n"})
		a, _ := w.truWithin(10*time.Second, "plan", folder, "--to", "dev")
		require.NotZero(t, a.code, a.out)
		require.NotContains(t, a.out+a.err, w.password(), parameter)
		require.NotContains(t, a.out+a.err, w.password()[:12], parameter)
	}
	w.never(w.password()[:12])
}
