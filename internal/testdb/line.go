package testdb

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Cut is where a worker's connection to the server ends, as it does when one of the two is killed.
type Cut string

// The cuts of a step.
const (
	BeforeTheAct    Cut = "before it acts"
	DuringTheAct    Cut = "while it acts"
	AfterTheAct     Cut = "after it has acted, before it has looked"
	BeforeTheRecord Cut = "after it has looked, before that is recorded"
	AfterTheCommit  Cut = "after the commit, before its answer"
)

// Cuts are all of them, in order.
func Cuts() []Cut {
	return []Cut{BeforeTheAct, DuringTheAct, AfterTheAct, BeforeTheRecord, AfterTheCommit}
}

// Line is what a worker talks to the server by. It is cut once, and carries whatever comes after that.
type Line struct {
	server   string // its address
	listener net.Listener
	at       Cut
	act      string // what the statement of the act begins with
	mu       sync.Mutex
	is       bool // cut
}

// Over is a line to a server, and the URL by which the server is reached over it. It is cut where a statement that begins with act is at a place.
func Over(tb testing.TB, to string, at Cut, act string) (l *Line, over string) {
	tb.Helper()
	server, err := url.Parse(to)
	require.NoError(tb, err)
	l = &Line{server: server.Host, at: at, act: act}
	l.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	go func() {
		for {
			client, err := l.listener.Accept()
			if err != nil {
				return
			}
			go l.carry(client)
		}
	}()
	server.Host = l.listener.Addr().String()
	return l, server.String()
}

// Close lets nobody talk by it any more.
func (l *Line) Close() { _ = l.listener.Close() }

// carry brings what one session says to the server, and back.
func (l *Line) carry(client net.Conn) {
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		_ = client.Close()
		return
	}
	end := func() {
		_ = client.Close()
		_ = server.Close()
	}
	var mu sync.Mutex
	withheld := false // the server's answers: the first that is whole is the end
	go func() {
		defer end()
		for {
			kind, message, err := next(server, true)
			if err != nil {
				return
			}
			mu.Lock()
			held := withheld
			mu.Unlock()
			if held && kind == 'Z' {
				return
			}
			if !held {
				if _, err := client.Write(message); err != nil {
					return
				}
			}
		}
	}()
	defer end()
	var recording bool
	for first := true; ; first = false {
		kind, message, err := next(client, !first)
		if err != nil {
			return
		}
		text := ""
		if kind == 'Q' || kind == 'P' {
			text = string(message)
		}
		acts, records := strings.Contains(text, l.act), strings.Contains(text, ".effect (key, kind, result)")
		commits := recording && kind == 'Q' && strings.HasPrefix(strings.ToLower(text[5:]), "commit")
		recording = recording || records
		switch {
		case acts && l.ends(BeforeTheAct), records && l.ends(BeforeTheRecord):
			return
		case acts && l.ends(DuringTheAct):
			_, _ = server.Write(message)
			if kind == 'P' { // what it is run with comes after it
				for kind != 'S' && err == nil {
					if kind, message, err = next(client, true); err == nil {
						_, _ = server.Write(message)
					}
				}
			}
			return
		case acts && l.ends(AfterTheAct), commits && l.ends(AfterTheCommit):
			mu.Lock()
			withheld = true
			mu.Unlock()
		}
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// ends says whether the line is cut here and now.
func (l *Line) ends(here Cut) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.is || l.at != here {
		return false
	}
	l.is = true
	return true
}

// WasCut says whether that has happened.
func (l *Line) WasCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.is
}

// next reads a message of the protocol. The first of a session has no kind.
func next(from io.Reader, kinded bool) (kind byte, message []byte, err error) {
	head := make([]byte, 4, 5)
	if kinded {
		head = head[:5]
	}
	if _, err := io.ReadFull(from, head); err != nil {
		return 0, nil, err
	}
	if kinded {
		kind = head[0]
	}
	length := binary.BigEndian.Uint32(head[len(head)-4:])
	if length < 4 || length > 1<<24 {
		return 0, nil, errors.New("this is no message")
	}
	body := make([]byte, length-4)
	_, err = io.ReadFull(from, body)
	return kind, append(head, body...), err
}
