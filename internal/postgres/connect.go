package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/fault"
)

// percentEncode is the remedy for a password that a URL takes for something else.
const percentEncode = "a password that is part of a URL: percent-encode it (@ is %40, / is %2F, : is %3A, # is %23)"

// unreadable is a connection string that the driver cannot read. What the driver says repeats it, password included.
func unreadable(object string) error {
	return fault.Newf(fault.Invalid, "open", object, "write it as postgres://user@host:port/database; "+percentEncode,
		"its connection string cannot be read")
}

// connectFault is one sentence of ours for each way in which connecting fails. Neither the server's text nor the driver's is
// in it: they repeat users, hosts and, where one was written in the place of another, passwords. What may pass (a server
// that restarts, a network that is away) is a plain error.
func connectFault(op, object string, err error) error {
	if err == nil || fault.ClassOf(err) != "" {
		return err
	}
	refuse := func(reason, hint string) error { return fault.Newf(fault.Refused, op, object, hint, reason) }
	pass := func(reason string) error { return fmt.Errorf("%s %s: %w", op, object, fault.Unreachable(reason)) }
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s %s: %w", op, object, context.Canceled) // whoever asked has left
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch code := pg.Code; {
		case code == pgerrcode.InvalidPassword:
			return refuse("the server refuses the login: the user or the password is wrong (SQLSTATE "+code+")",
				"correct user and password of the connection in the environment's policy; "+percentEncode)
		case code[:2] == "28":
			return refuse("the server does not let the login in from this host (SQLSTATE "+code+")",
				"look at the connection's user and tls in the environment's policy, and at pg_hba.conf of the server")
		case code == pgerrcode.InvalidCatalogName:
			return refuse("the server has no such database (SQLSTATE "+code+")", "correct the connection's url in the environment's policy")
		case code == pgerrcode.InsufficientPrivilege:
			return refuse("the login may not use the database (SQLSTATE "+code+")", "see the rights that it needs: drawbridge setup --env ENV --print")
		case code == pgerrcode.CannotConnectNow:
			return pass("the server is starting, or stopping (SQLSTATE " + code + ")")
		case code == pgerrcode.TooManyConnections:
			return pass("the server has no session left for anybody (SQLSTATE " + code + ")")
		default:
			return pass("the server ended the session while it began (SQLSTATE " + code + ")")
		}
	}
	if reason := untrusted(err); reason != "" {
		return refuse(reason, "set tls of the connection in the environment's policy: mode, and root for a certificate of your own")
	}
	return pass(unreachable(err))
}

// untrusted says what is wrong with TLS; "" where nothing is.
func untrusted(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "TLS: the server's certificate is not trusted, or is one for another host"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "TLS: the server's certificate is one for another host"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "TLS: the server's certificate is not trusted"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "TLS: what the server answers is none"
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return "TLS: the server refuses this client, or its certificate"
	}
	if strings.Contains(err.Error(), "server refused TLS connection") { // the driver has no error of its own for it
		return "TLS: the server speaks none"
	}
	return ""
}

// unreachable says why there was no answer.
func unreachable(err error) string {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the server cannot be reached: its host's name is not known; " + percentEncode
	}
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err), ok && timeout.Timeout():
		return "the server cannot be reached: it did not answer within " + openTimeout.String()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the server cannot be reached: nothing listens at its address"
	}
	return "the server cannot be reached"
}
