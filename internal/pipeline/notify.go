package pipeline

import (
	"time"

	"drawbridge/internal/fault"
	"drawbridge/internal/notice"
	"drawbridge/internal/secret"
	"drawbridge/internal/strictyaml"
)

// Notify says who is told what happens in an environment; the zero Notify tells nobody.
type Notify struct {
	Receivers map[string]Receiver `json:"receivers,omitempty"`
	// Remind is how often an open gate is reminded of. Default 24h.
	Remind time.Duration `json:"remind,omitempty"`
	// Expiring is how long before a gate expires that is said. Default 4h.
	Expiring time.Duration `json:"expiring,omitempty"`
}

// Tells says whether anybody is told anything.
func (n Notify) Tells() bool { return len(n.Receivers) > 0 }

// Receiver is who is told, of what and how: by a webhook or by mail. Values of secrets are not in it, only references.
type Receiver struct {
	Webhook string `json:"webhook,omitempty"` // a reference
	Mail    *Mail  `json:"mail,omitempty"`
	notice.Filter
}

// Mail is a way to send mail.
type Mail struct {
	Server   string   `json:"server"` // host:port
	From     string   `json:"from"`
	To       []string `json:"to"`
	User     string   `json:"user,omitempty"`
	Password string   `json:"password,omitempty"` // a reference
	TLS      MailTLS  `json:"tls"`
}

// MailTLS is how a connection to a mail server is encrypted.
type MailTLS string

// The ways: after the connection has begun, from its first byte on, or not at all.
const (
	StartTLS MailTLS = "starttls"
	FullTLS  MailTLS = "tls"
	NoTLS    MailTLS = "none"
)

// notify reads who is told.
func (b *builder) notify(v strictyaml.Value) Notify {
	if !v.OK() {
		return Notify{}
	}
	n := Notify{
		Receivers: map[string]Receiver{},
		Remind:    strictyaml.As[time.Duration](v.Get("remind")), Expiring: strictyaml.As[time.Duration](v.Get("expiring")),
	}
	receivers := v.Get("receivers")
	for _, name := range receivers.Names() {
		if !identifierPattern.MatchString(name) {
			b.problems.Add(receivers.KeyAt(name), "the name of a receiver must be "+identifierWords, "")
			continue
		}
		n.Receivers[name] = b.receiver(receivers.Get(name))
	}
	return n
}

func (b *builder) receiver(v strictyaml.Value) Receiver {
	r := Receiver{Webhook: strictyaml.As[string](v.Get("webhook"))}
	r.Owners, r.Consumers, r.Severity = v.Get("owners").Strings(), v.Get("consumers").Strings(), notice.Severity(strictyaml.As[string](v.Get("severity")))
	for _, kind := range v.Get("kinds").Strings() {
		r.Kinds = append(r.Kinds, notice.Kind(kind))
	}
	mail := v.Get("mail")
	switch {
	case v.Get("webhook").OK() && mail.OK():
		b.problems.Add(mail.At, "a receiver is told by a webhook or by mail", "make two receivers of it")
	case !v.Get("webhook").OK() && !mail.OK():
		b.problems.Add(v.At, "nothing says how the receiver is told", "give it a webhook, such as webhook: ${env:SLACK_URL}, or mail")
	}
	for _, value := range []strictyaml.Value{v.Get("webhook"), mail.Get("password")} {
		if text, ok := value.Data.(string); ok {
			if _, err := secret.Parse(text); err != nil {
				b.problems.Add(value.At, reasonOf(err), fault.HintOf(err))
			}
		}
	}
	if !mail.OK() {
		return r
	}
	r.Mail = &Mail{
		Server: strictyaml.As[string](mail.Get("server")), From: strictyaml.As[string](mail.Get("from")), To: mail.Get("to").Strings(),
		User: strictyaml.As[string](mail.Get("user")), Password: strictyaml.As[string](mail.Get("password")),
		TLS: MailTLS(strictyaml.As[string](mail.Get("tls"))),
	}
	if m := r.Mail; (m.User == "") != (m.Password == "") {
		b.problems.Add(mail.At, "a login has a user and a password", "give both, or none")
	}
	if m := r.Mail; m.TLS == NoTLS && m.Password != "" {
		b.problems.Add(mail.Get("tls").At, "the password would be sent unencrypted", "leave tls out, or set it to starttls or tls")
	}
	return r
}
