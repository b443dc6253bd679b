package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	mail "github.com/wneessen/go-mail"

	"drawbridge/internal/notice"
	"drawbridge/internal/pipeline"
)

const theMailServer = "the mail server"

func (s *Sender) mail(ctx context.Context, m pipeline.Mail, e notice.Event) error {
	message, err := compose(m, e)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(m.Server)
	number, notNumber := strconv.Atoi(port)
	if err != nil || notNumber != nil {
		return misconfigured(theMailServer, "write server as host:port", "the policy's server is none")
	}
	left := patience // the connection does not end with ctx
	if d, ok := ctx.Deadline(); ok {
		left = max(time.Until(d), time.Millisecond)
	}
	options := []mail.Option{mail.WithPort(number), mail.WithTimeout(left)}
	switch m.TLS {
	case pipeline.FullTLS:
		options = append(options, mail.WithSSL())
	case pipeline.NoTLS:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	case pipeline.StartTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if m.User != "" {
		password, err := s.resolver.Resolve(m.Password)
		if err != nil {
			return err
		}
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(m.User), mail.WithPassword(password))
	}
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return misconfigured(theMailServer, "look at mail of the policy", "no connection can be made of what it says")
	}
	return undelivered(client.DialAndSendWithContext(ctx, message))
}

// compose makes the message of an event. Its ID is the event's, so that a mailbox may tell twice from new.
func compose(m pipeline.Mail, e notice.Event) (*mail.Msg, error) {
	message := mail.NewMsg()
	if message.From(m.From) != nil || message.To(m.To...) != nil {
		return nil, misconfigured(theMailServer, "look at from and to of the policy's mail", "an address is none")
	}
	sum := sha256.Sum256([]byte(e.ID))
	_, domain, _ := strings.Cut(m.From, "@")
	message.SetMessageIDWithValue(hex.EncodeToString(sum[:16]) + "@" + domain)
	message.SetDate()
	message.Subject("[drawbridge] " + string(e.Severity) + ": " + e.Subject())
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetGenHeader("X-Drawbridge-Event", e.ID)
	message.SetBodyString(mail.TypeTextPlain, e.Mail()+"\n")
	return message, nil
}

// undelivered is why a mail was not taken: of an answer its code, and no word.
func undelivered(err error) error {
	if err == nil {
		return nil
	}
	code := 0
	if failed, ok := errors.AsType[*mail.SendError](err); ok {
		code = failed.ErrorCode()
	}
	if said, ok := errors.AsType[*textproto.Error](err); ok {
		code = said.Code
	}
	switch {
	case code > 0:
		return errors.New(theMailServer + ": it answered " + fmt.Sprint(code))
	case errors.Is(err, mail.ErrNoSupportedAuthDiscovered):
		return errors.New(theMailServer + ": it offers no way to log in that is known here")
	case strings.Contains(err.Error(), "does not support STARTTLS"): // the library has no other word for it
		return errors.New(theMailServer + ": it does not encrypt: it offers no STARTTLS")
	}
	return unsent(theMailServer, err)
}
