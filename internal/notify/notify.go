// Package notify tells receivers of events: by webhooks and by mail. It tells once; whoever owes an event tries again. No error of it
// has a URL, an address or a word of a receiver's server in it.
package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"drawbridge/internal/fault"
	"drawbridge/internal/notice"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/secret"
)

// patience bounds one attempt: a receiver that hangs is given up for now.
const patience = 10 * time.Second

// Sender sends events, with what a policy's references refer to.
type Sender struct {
	resolver secret.Resolver
	known    *secret.Known
	hooks    hooks
}

// New returns a sender. known are the secrets of this process: none of them leaves it in an event.
func New(known *secret.Known) *Sender {
	return &Sender{resolver: secret.NewResolver(known), known: known, hooks: newHooks()}
}

// Send tells a receiver of an event. An error says why it was not told; it may have been all the same.
func (s *Sender) Send(ctx context.Context, r pipeline.Receiver, e notice.Event) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e = e.Tidy(s.known.Redact)
	if r.Mail != nil {
		return s.mail(ctx, *r.Mail, e)
	}
	url, err := s.resolver.Resolve(r.Webhook)
	if err != nil {
		return err
	}
	return s.hooks.post(ctx, url, e)
}

// unsent is why something could not be sent, in words of ours.
func unsent(who string, err error) error {
	why := "it cannot be reached"
	_, unknown := errors.AsType[*net.DNSError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), late(err):
		why = fmt.Sprintf("it has not answered for %s", patience)
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case unknown:
		why = "its host is not known"
	case untrusted, authority:
		why = "its certificate is not trusted here"
	case plain, errors.Is(err, http.ErrSchemeMismatch):
		why = "it does not speak TLS there"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "it refuses connections"
	}
	return errors.New(who + ": " + why)
}

func late(err error) bool {
	failed, ok := errors.AsType[net.Error](err)
	return ok && failed.Timeout()
}

// misconfigured is what no other attempt mends.
func misconfigured(what, hint, reason string) error {
	return fault.Newf(fault.Invalid, "tell", what, hint, reason)
}
