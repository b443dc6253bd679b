package postgres

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"drawbridge/internal/fault"
)

const (
	// keepFor is how long a session is kept for more of the same author's SQL: long enough for what lies between two partitions of
	// a slice, and no longer, as sessions are the whole server's.
	keepFor = 2 * time.Second
	// keepUntil is how old it may become: what is set for the login since, and memory that SQL has taken, hold for new ones.
	keepUntil = 10 * time.Minute
)

// Session is a session of its own, in which SQL of others runs.
type Session struct {
	*pgx.Conn
	Role    string
	PID     int32 // with Started it names the session, also to those who may not look into it
	Started time.Time
	opened  time.Time // by our own clock
}

// Apart runs f in a session of its own, under the login of those who wrote the SQL that f runs, and closes it: whatever that
// SQL has left there, nobody meets it.
func (p *Pool) Apart(ctx context.Context, application string, f func(*Session) error) error {
	s, err := p.openApart(ctx, application)
	if err != nil {
		return err
	}
	defer s.close(ctx)
	return f(s)
}

// ApartAside is Apart for SQL that reads nothing which a swap replaces, as what is pinned does, and that runs time and again: where f
// succeeds, the session is emptied of all that f has left there, and kept a moment for the next who names the same author. That is
// whoever wrote the SQL, so that nobody meets what another has done to a session; without an author it is closed.
func (p *Pool) ApartAside(ctx context.Context, application, author string, f func(*Session) error) error {
	use := keptFor{application: Clip(application), author: author, path: p.author.RuntimeParams["search_path"], zone: p.author.RuntimeParams[zoneParam]}
	s := p.kept.take(use)
	if s == nil || s.Aside(ctx) != nil { // the server may have ended it since
		if s != nil {
			s.close(ctx)
		}
		var err error
		if s, err = p.openApart(ctx, application); err != nil {
			return err
		}
		if err := s.Aside(ctx); err != nil {
			s.close(ctx)
			return err
		}
	}
	err := f(s)
	if err != nil || author == "" || time.Since(s.opened) > keepUntil || s.empty(ctx) != nil {
		s.close(ctx)
		return err
	}
	p.kept.put(use, s)
	return nil
}

func (p *Pool) openApart(ctx context.Context, application string) (*Session, error) {
	config := p.author.Copy()
	config.RuntimeParams["application_name"] = Clip(application)
	conn, err := pgx.ConnectConfig(ctx, config)
	if SQLState(err) == pgerrcode.TooManyConnections && p.kept.release() { // what is kept for later is in nobody's way
		conn, err = pgx.ConnectConfig(ctx, config)
	}
	if zone := config.RuntimeParams[zoneParam]; SQLState(err) == pgerrcode.InvalidParameterValue && zone != "UTC" {
		return nil, fault.Newf(fault.Invalid, "open", p.object+" for authors", "name the timezone as this server does: SELECT name FROM pg_timezone_names",
			"the server takes no session in the timezone "+zone)
	}
	if err != nil {
		return nil, connectFault("open", p.object+" for authors", err)
	}
	s := &Session{Conn: conn, opened: time.Now()}
	if err := s.meet(ctx); err != nil {
		s.close(ctx)
		return nil, err
	}
	return s, nil
}

// meet asks before anything of theirs has run: what the session says of itself is true. A login that has become another role looks at
// itself as what it was.
func (s *Session) meet(ctx context.Context) error {
	if err := s.QueryRow(ctx, `SELECT current_user`).Scan(&s.Role); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, s, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL ROLE NONE`); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()`).Scan(&s.PID, &s.Started)
	})
}

// Aside marks the session as one that reads nothing that a swap replaces, as a pinned one is.
func (s *Session) Aside(ctx context.Context) error {
	_, err := s.Exec(ctx, `SELECT pg_try_advisory_lock_shared($1::int, pg_backend_pid())`, asideClass)
	return err
}

// empty takes all out of the session that was made or set in it. An error is that it may be as it was.
func (s *Session) empty(ctx context.Context) error {
	if _, err := s.Exec(ctx, "DISCARD ALL"); err != nil {
		return err
	}
	_, err := s.Exec(ctx, "RESET ROLE") // to the one that the login becomes, which DISCARD ALL forgets
	return err
}

func (s *Session) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CancelGrace)
	defer cancel()
	_ = s.Close(ctx)
}

// keptFor says who may use a kept session.
type keptFor struct {
	application, author, path, zone string
}

// keptSessions are sessions that nobody uses at the moment. Each is closed when its time is up.
type keptSessions struct {
	mu     sync.Mutex
	of     map[keptFor][]*keptSession
	closed bool
}

type keptSession struct {
	*Session
	timer *time.Timer
}

// take hands out a session that is kept for a use; nil where there is none.
func (k *keptSessions) take(use keptFor) *Session {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range slices.Backward(k.of[use]) {
		if s.timer.Stop() { // else it is being closed
			k.forget(use, s)
			return s.Session
		}
	}
	return nil
}

func (k *keptSessions) forget(use keptFor, old *keptSession) {
	k.of[use] = slices.DeleteFunc(k.of[use], func(s *keptSession) bool { return s == old })
	if len(k.of[use]) == 0 {
		delete(k.of, use)
	}
}

// put keeps a session for the same use.
func (k *keptSessions) put(use keptFor, s *Session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		s.close(context.Background())
		return
	}
	if k.of == nil {
		k.of = map[keptFor][]*keptSession{}
	}
	kept := &keptSession{Session: s}
	kept.timer = time.AfterFunc(keepFor, func() { k.expire(use, kept) })
	k.of[use] = append(k.of[use], kept)
}

func (k *keptSessions) expire(use keptFor, old *keptSession) {
	k.mu.Lock()
	k.forget(use, old)
	k.mu.Unlock()
	old.close(context.Background())
}

// release closes what is kept, and says whether there was any.
func (k *keptSessions) release() (some bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, sessions := range k.of {
		for _, s := range sessions {
			if s.timer.Stop() {
				s.close(context.Background())
				some = true
			}
		}
	}
	k.of = nil
	return some
}

func (k *keptSessions) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.release()
}
