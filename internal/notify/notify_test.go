package notify_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/notice"
	"drawbridge/internal/notify"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/secret"
)

func event() notice.Event {
	return notice.Event{
		Schema: notice.Schema, ID: "run/shop/prod/2026-01-31/abc/prod/run_failed", Kind: notice.RunFailed, Severity: notice.Critical,
		At: time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC), Environment: "prod", Pipeline: "shop", Owner: "sales-data", Release: "shop@1.1.0",
		What: "run/shop/prod/2026-01-31 has failed", Why: "not null: 3 rows", Commands: []string{"drawbridge status run/shop/prod/2026-01-31"},
	}
}

// kept is a reference to a secret.
func kept(t *testing.T, value string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(name, []byte(value+"\n"), 0o600))
	return "${file:" + name + "}"
}

func hook(t *testing.T, url string) pipeline.Receiver {
	t.Helper()
	return pipeline.Receiver{Webhook: kept(t, url)}
}

func TestAWebhookGetsAnEventAsJSONWithATextThatChatsShow(t *testing.T) {
	t.Parallel()
	var got map[string]any
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &got)
	}))
	defer server.Close()
	require.NoError(t, notify.New(&secret.Known{}).Send(t.Context(), hook(t, server.URL+"/services/T0/B0/token"), event()))
	require.Equal(t, notice.Schema, got["schema"])
	require.Equal(t, "run_failed", got["kind"])
	require.Equal(t, event().ID, got["id"])
	require.Equal(t, event().ID, header.Get("Drawbridge-Event"))
	text, _ := got["text"].(string)
	require.Contains(t, text, "*critical*: run failed in prod: shop@1.1.0")
	require.Contains(t, text, "`drawbridge status run/shop/prod/2026-01-31`")
}

func TestNoErrorOfAWebhookSaysItsURLOrAWordOfItsServer(t *testing.T) {
	t.Parallel()
	refuses, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := "http://" + refuses.Addr().String()
	require.NoError(t, refuses.Close())
	status := func(code int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere-token")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "no such hook: "+r.URL.Path)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	for name, tc := range map[string]struct{ url, says string }{
		"it is down":                   {closed, "refuses connections"},
		"it fails":                     {status(http.StatusInternalServerError), "it answered 500"},
		"it has no such hook":          {status(http.StatusNotFound), "it answered 404"},
		"it sends elsewhere":           {status(http.StatusFound), "it answered 302"},
		"its certificate is nobody's":  {untrusted.URL, "certificate is not trusted"},
		"it speaks no TLS":             {strings.Replace(status(http.StatusOK), "http://", "https://", 1), "does not speak TLS"},
		"its host is nowhere":          {"https://nowhere.invalid", "webhook: it"},
		"the reference is to no URL":   {"token", "no URL"},
		"the reference is to no hook":  {"ftp://127.0.0.1", "no URL"},
		"the reference is to nonsense": {"http://[::1", "no URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := notify.New(&secret.Known{}).Send(t.Context(), hook(t, tc.url+"/services/token"), event())
			require.ErrorContains(t, err, tc.says)
			for _, secretive := range []string{"token", "127.0.0.1", "services", "http", "no such hook"} {
				require.NotContains(t, err.Error(), secretive)
			}
		})
	}
	err = notify.New(&secret.Known{}).Send(t.Context(), pipeline.Receiver{Webhook: "${env:NOBODY_HAS_SET_THIS}"}, event())
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	require.ErrorContains(t, err, "missing or empty")
}

// A receiver that takes a connection and says nothing is given up, however patient its server is.
func TestAReceiverThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	for name, r := range map[string]pipeline.Receiver{
		"a webhook":     hook(t, "http://"+silent.Addr().String()+"/token"),
		"a mail server": {Mail: &pipeline.Mail{Server: silent.Addr().String(), From: "drawbridge@example.com", To: []string{"ann@example.com"}, TLS: pipeline.NoTLS}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			err := notify.New(&secret.Known{}).Send(ctx, r, event())
			require.ErrorContains(t, err, "has not answered")
			require.Less(t, time.Since(began), 8*time.Second)
		})
	}
}

func TestNoSecretOfTheProcessLeavesItInAnEvent(t *testing.T) {
	t.Parallel()
	known := &secret.Known{}
	_, err := secret.NewResolver(known).Resolve(kept(t, "correct horse"))
	require.NoError(t, err)
	var got bytes.Buffer
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(&got, r.Body) }))
	defer server.Close()
	e := event()
	e.Why, e.Commands = "login failed with correct horse", []string{"PGPASSWORD='correct horse' psql"}
	require.NoError(t, notify.New(known).Send(t.Context(), hook(t, server.URL), e))
	require.NotContains(t, got.String(), "correct horse")
}

// postbox is a real SMTP server.
type postbox struct {
	mu     sync.Mutex
	mails  []string
	to     []string
	login  string
	refuse error
}

func (p *postbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &letter{box: p}, nil }

type letter struct {
	box *postbox
	to  []string
}

func (l *letter) AuthMechanisms() []string { return []string{sasl.Plain} }

func (l *letter) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		l.box.mu.Lock()
		defer l.box.mu.Unlock()
		l.box.login = user + " " + password
		return nil
	}), nil
}

func (l *letter) Mail(string, *smtp.MailOptions) error {
	l.box.mu.Lock()
	defer l.box.mu.Unlock()
	return l.box.refuse
}

func (l *letter) Rcpt(to string, _ *smtp.RcptOptions) error {
	l.to = append(l.to, to)
	return nil
}

func (l *letter) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	l.box.mu.Lock()
	defer l.box.mu.Unlock()
	l.box.mails, l.box.to = append(l.box.mails, string(body)), l.to
	return err
}

func (*letter) Reset() {}

func (*letter) Logout() error { return nil }

// open serves the postbox, and returns where.
func (p *postbox) open(t *testing.T, certificate *tls.Config) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := smtp.NewServer(p)
	server.Domain, server.AllowInsecureAuth, server.TLSConfig = "localhost", true, certificate
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

func TestAMailIsTheEventAndHasItsID(t *testing.T) {
	t.Parallel()
	box := &postbox{}
	m := pipeline.Mail{Server: box.open(t, nil), From: "drawbridge@example.com", To: []string{"ann@example.com", "bob@example.com"}, TLS: pipeline.NoTLS}
	send := func(e notice.Event) *mail.Message {
		require.NoError(t, notify.New(&secret.Known{}).Send(t.Context(), pipeline.Receiver{Mail: &m}, e))
		read, err := mail.ReadMessage(strings.NewReader(box.mails[len(box.mails)-1]))
		require.NoError(t, err)
		return read
	}
	e := event()
	e.Release = "shop@1.1.0\r\nBcc: eve@example.com"
	first, again := send(e), send(e)
	require.Equal(t, []string{"ann@example.com", "bob@example.com"}, box.to)
	require.Equal(t, "[drawbridge] critical: run failed in prod: shop@1.1.0  Bcc: eve@example.com", first.Header.Get("Subject"))
	require.Empty(t, first.Header.Get("Bcc"))
	require.Equal(t, "auto-generated", first.Header.Get("Auto-Submitted"))
	require.Equal(t, first.Header.Get("Message-Id"), again.Header.Get("Message-Id"))
	require.NotEqual(t, first.Header.Get("Message-Id"), send(notice.Event{ID: "another"}).Header.Get("Message-Id"))
	body, err := io.ReadAll(first.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), "drawbridge status run/shop/prod/2026-01-31")
}

func TestNoErrorOfAMailServerSaysAWordOfIt(t *testing.T) {
	t.Parallel()
	box := &postbox{refuse: &smtp.SMTPError{Code: 550, Message: "no such mailbox ann@example.com"}}
	down, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, down.Close())
	nobodys := httptest.NewUnstartedServer(nil)
	nobodys.StartTLS()
	t.Cleanup(nobodys.Close)
	for name, tc := range map[string]struct {
		server string
		tls    pipeline.MailTLS
		says   string
	}{
		"it refuses":                  {box.open(t, nil), pipeline.NoTLS, "it answered 550"},
		"it is down":                  {down.Addr().String(), pipeline.NoTLS, "refuses connections"},
		"it does not encrypt":         {box.open(t, nil), pipeline.StartTLS, "offers no STARTTLS"},
		"its certificate is nobody's": {box.open(t, nobodys.TLS), pipeline.StartTLS, "certificate is not trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := pipeline.Mail{Server: tc.server, From: "drawbridge@example.com", To: []string{"ann@example.com"}, TLS: tc.tls}
			err := notify.New(&secret.Known{}).Send(t.Context(), pipeline.Receiver{Mail: &m}, event())
			require.ErrorContains(t, err, tc.says)
			require.NotContains(t, err.Error(), "ann@")
			require.NotContains(t, err.Error(), "127.0.0.1")
		})
	}
}

// A password goes over an encrypted connection only: a server that offers none does not get it.
func TestNoPasswordIsSentUnencrypted(t *testing.T) {
	t.Parallel()
	box := &postbox{}
	m := pipeline.Mail{
		Server: box.open(t, nil), From: "drawbridge@example.com", To: []string{"ann@example.com"}, TLS: pipeline.StartTLS, User: "drawbridge", Password: kept(t, "correct horse"),
	}
	require.Error(t, notify.New(&secret.Known{}).Send(t.Context(), pipeline.Receiver{Mail: &m}, event()))
	require.Empty(t, box.login)
}
