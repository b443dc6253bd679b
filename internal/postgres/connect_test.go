package postgres_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"math/big"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/postgres"
	"drawbridge/internal/testdb"
)

// connectSecret stands wherever a credential, a host or a server's text could have one.
const connectSecret = "hunter2-S3cret"

// answering serves every connection with f, and returns the address.
func answering(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				f(c)
			}()
		}
	}()
	return l.Addr().String()
}

// fatal answers a startup with an error of the server.
func fatal(code string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		var body []byte
		for _, field := range []string{"SFATAL", "VFATAL", "C" + code, "M" + connectSecret + " says the server", "D" + connectSecret, "H" + connectSecret} {
			body = append(append(body, field...), 0)
		}
		body = append(body, 0)
		message := binary.BigEndian.AppendUint32([]byte{'E'}, uint32(len(body)+4))
		_, _ = c.Write(append(message, body...))
	}
}

// encrypted answers the request for TLS, with f in the place of TLS.
func encrypted(f func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 8))
		_, _ = c.Write([]byte("S"))
		f(c)
	}
}

func mute(c net.Conn) { _, _ = c.Read(make([]byte, 4096)); _, _ = c.Read(make([]byte, 4096)) }

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{connectSecret + ".example"}}
	body, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{body}, PrivateKey: key}
}

// closed is an address at which nothing listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	return address
}

// Connecting fails in one sentence of ours a kind of failure, in seconds, and no word of the server or the driver is in it.
func TestConnectingFailsInASentenceOfOurs(t *testing.T) {
	t.Parallel()
	at := func(address, options string) string {
		return "postgres://" + connectSecret + ":" + connectSecret + "@" + address + "/" + connectSecret + "?" + options
	}
	certificate := selfSigned(t)
	handshake := encrypted(func(c net.Conn) {
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}}).Handshake()
	})
	type failure struct {
		url   string
		class fault.Class
		says  string
	}
	cases := map[string]failure{
		"a URL that is none":        {"postgres://u:" + connectSecret + "/x@h:1/d", fault.Invalid, "percent-encode"},
		"a password in its place":   {"postgres://u:12/" + connectSecret + "@127.0.0.1:5/d", "", "percent-encode"},
		"an unknown host":           {at(connectSecret+".invalid:5432", "sslmode=disable"), "", "percent-encode"},
		"nothing listens":           {at(closed(t), "sslmode=disable"), "", "nothing listens"},
		"no answer":                 {at(answering(t, mute), "sslmode=disable"), "", "did not answer within 10s"},
		"no answer to TLS":          {at(answering(t, mute), ""), "", "did not answer within 10s"},
		"no TLS":                    {at(answering(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 8)); _, _ = c.Write([]byte("N")) }), "sslmode=require"), fault.Refused, "speaks none"},
		"a certificate of nobody":   {at(answering(t, handshake), "sslmode=verify-full"), fault.Refused, "certificate is not trusted"},
		"another protocol":          {at(answering(t, encrypted(func(c net.Conn) { _, _ = c.Write([]byte(connectSecret + "\r\n\r\n")) })), "sslmode=require"), fault.Refused, "TLS"},
		"a wrong password":          {at(answering(t, fatal("28P01")), "sslmode=disable"), fault.Refused, "password is wrong (SQLSTATE 28P01)"},
		"a host that may not":       {at(answering(t, fatal("28000")), "sslmode=disable"), fault.Refused, "from this host (SQLSTATE 28000)"},
		"no such database":          {at(answering(t, fatal("3D000")), "sslmode=disable"), fault.Refused, "no such database (SQLSTATE 3D000)"},
		"a login without the right": {at(answering(t, fatal("42501")), "sslmode=disable"), fault.Refused, "may not use the database"},
		"a server that starts":      {at(answering(t, fatal("57P03")), "sslmode=disable"), "", "starting"},
		"a server that is full":     {at(answering(t, fatal("53300")), "sslmode=disable"), "", "no session left"},
		"anything else":             {at(answering(t, fatal("XX000")), "sslmode=disable"), "", "SQLSTATE XX000"},
	}
	if real := os.Getenv("TEST_DATABASE_URL"); real != "" {
		change := func(f func(*url.URL)) string {
			u, err := url.Parse(real)
			require.NoError(t, err)
			f(u)
			return u.String()
		}
		cases["a real server and a wrong password"] = failure{change(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), connectSecret) }), fault.Refused, "28P01"}
		cases["a real server and a secret as user"] = failure{change(func(u *url.URL) { u.User = url.UserPassword(connectSecret, "x") }), fault.Refused, "(SQLSTATE 28"}
		cases["a real server and no such database"] = failure{change(func(u *url.URL) { u.Path = "/" + connectSecret }), fault.Refused, "3D000"}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			_, err := postgres.Open(t.Context(), postgres.Options{URL: c.url, Object: "warehouse shop"})
			require.Error(t, err)
			require.Less(t, time.Since(began), 30*time.Second)
			require.Equal(t, c.class, fault.ClassOf(err), "%v", err)
			text := err.Error() + " " + fault.HintOf(err)
			require.Contains(t, text, c.says)
			require.Contains(t, text, "warehouse shop")
			require.NotContains(t, strings.ToLower(text), strings.ToLower(connectSecret))
			require.NotContains(t, text, "127.0.0.1")
		})
	}
}

// Whoever stops waiting is not kept by a server that does not answer.
func TestOpeningEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	address := answering(t, func(c net.Conn) {
		cancel()
		mute(c)
	})
	_, err := postgres.Open(ctx, postgres.Options{URL: "postgres://u@" + address + "/d?sslmode=disable", Object: "warehouse shop"})
	require.ErrorIs(t, err, context.Canceled)
}

// What our SQL relies on is there from a session's start, and a RESET of everything leaves it.
func TestSettingsAreParametersOfTheStart(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	pool, err := postgres.Open(t.Context(), postgres.Options{URL: db.URL, Object: "test", Application: "drawbridge/test"})
	require.NoError(t, err)
	defer pool.Close()
	require.NoError(t, pool.In("part", db.Schema, "other").Apart(t.Context(), "drawbridge/test/apart", func(s *postgres.Session) error {
		_, err := s.Exec(t.Context(), `SELECT set_config('timezone', 'Asia/Tokyo', false), set_config('search_path', 'x', false), set_config('client_connection_check_interval', '0', false)`)
		require.NoError(t, err)
		_, err = s.Exec(t.Context(), `RESET ALL`)
		require.NoError(t, err)
		var zone, path, check, application string
		require.NoError(t, s.QueryRow(t.Context(), `
			SELECT current_setting('timezone'), current_setting('search_path'), current_setting('client_connection_check_interval'), current_setting('application_name')`).
			Scan(&zone, &path, &check, &application))
		require.Equal(t, []string{"UTC", `"pg_temp", "` + db.Schema + `", "other"`, "5s", "drawbridge/test/apart"}, []string{zone, path, check, application})
		return nil
	}))
}
