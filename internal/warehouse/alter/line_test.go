package alter_test

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

	"drawbridge/internal/postgres"
	"drawbridge/internal/warehouse/alter"
)

// cut is where a worker's connection to the server ends, as it does when one of the two is killed.
type cut string

// The cuts of a step.
const (
	beforeTheAct    cut = "before it acts"
	duringTheAct    cut = "while it acts"
	afterTheAct     cut = "after it has acted, before it has looked"
	beforeTheRecord cut = "after it has looked, before that is recorded"
	afterTheCommit  cut = "after the commit, before its answer"
)

func cuts() []cut {
	return []cut{beforeTheAct, duringTheAct, afterTheAct, beforeTheRecord, afterTheCommit}
}

// line is what a worker talks to the server by. It is cut once, and carries whatever comes after that.
type line struct {
	server string // its address
	at     cut
	act    string // what the statement of the act begins with
	mu     sync.Mutex
	is     bool // cut
}

// over are the tables of the bundle, as a worker has them whose line is cut.
func (b *bundle) over(t *testing.T, l *line) (tables *alter.Tables, leave func()) {
	t.Helper()
	server, err := url.Parse(b.db.URL)
	require.NoError(t, err)
	l.server = server.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(client)
		}
	}()
	server.Host = listener.Addr().String()
	pool, err := postgres.Open(t.Context(), postgres.Options{URL: server.String(), Object: "warehouse", Application: "drawbridge/test", MaxConns: 6})
	require.NoError(t, err)
	return alter.On(pool, b.db.Schema), func() {
		pool.Close()
		_ = listener.Close()
	}
}

// carry brings what one session says to the server, and back.
func (l *line) carry(client net.Conn) {
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
		case acts && l.ends(beforeTheAct), records && l.ends(beforeTheRecord):
			return
		case acts && l.ends(duringTheAct):
			_, _ = server.Write(message)
			if kind == 'P' { // what it is run with comes after it
				for kind != 'S' && err == nil {
					if kind, message, err = next(client, true); err == nil {
						_, _ = server.Write(message)
					}
				}
			}
			return
		case acts && l.ends(afterTheAct), commits && l.ends(afterTheCommit):
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
func (l *line) ends(here cut) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.is || l.at != here {
		return false
	}
	l.is = true
	return true
}

// wasCut says whether that has happened.
func (l *line) wasCut() bool {
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
