package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// settling is how long everything may take to end, or to ask, after the last fault, and to end once it was answered.
const settling = 60 * time.Second

// torn counts the days of a pipeline that are not whole, or whose outputs are of two releases. A column may have another name meanwhile.
func (l *chaosLab) torn() string {
	return fmt.Sprintf(`
		WITH one AS (SELECT d, count(*) AS n, sum(coalesce(to_jsonb(o) ->> 'v', to_jsonb(o) ->> 'w')::numeric) AS v FROM rides_dev.%s AS o GROUP BY d),
		     two AS (SELECT d, count(*) AS n, sum(v) AS v FROM rides_dev.%s GROUP BY d)
		SELECT %d - count(*) FILTER (WHERE one.n = 3 AND two.n = 3 AND one.v = two.v)
		FROM one FULL JOIN two USING (d)`, l.tables[0], l.tables[1], len(l.days))
}

// read lets readers of every pipeline read over and over, until the returned function is called. A server that is away is no
// fault; a day that is torn, and any other error, is.
func (c *chaos) read() (stop func()) {
	ctx, cancel := context.WithCancel(c.t.Context())
	c.t.Cleanup(cancel)
	var group sync.WaitGroup
	var lock sync.Mutex
	seen := map[string]int{}
	reads := 0
	for _, l := range c.labs {
		group.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				var torn int
				err := c.db.QueryRow(ctx, l.torn()).Scan(&torn)
				lock.Lock()
				switch pg, fromServer := errors.AsType[*pgconn.PgError](err); {
				case err == nil && torn == 0:
					reads++
				case err == nil:
					seen[fmt.Sprintf("a reader of %s saw torn days: %d", l.name, torn)]++
				case fromServer && !strings.HasPrefix(pg.Code, "57") && !strings.HasPrefix(pg.Code, "08"):
					seen[fmt.Sprintf("a reader of %s was told %s %s", l.name, pg.Code, pg.Message)]++
				}
				lock.Unlock()
			}
		})
	}
	return func() {
		cancel()
		group.Wait()
		c.tell("%d reads", reads)
		if reads == 0 {
			c.violated("nobody has read anything")
		}
		for what, n := range seen {
			c.violated("%s, %d times", what, n)
		}
	}
}

// settles awaits the end of every workflow. What waits for a person has to say what for, and ends once it is answered.
func (c *chaos) settles() {
	c.t.Helper()
	var ids []string
	for _, l := range c.labs {
		ids = append(ids, l.ids()...)
	}
	var tables []string
	for _, t := range c.tables {
		tables = append(tables, t.id())
		if t.kind.name == tried {
			c.starts("resume", t.id(), "--reason", "chaos is over")
		}
	}
	waiting := c.untilStill(slices.Concat(ids, tables), settling)
	for _, id := range waiting {
		if !slices.Contains(tables, id) {
			c.answered(id)
		}
	}
	for _, t := range c.tables {
		t.finishes()
	}
	for _, l := range c.labs {
		c.finishes(l)
	}
}

// untilStill waits until every workflow has ended or asks, and returns those that ask.
func (c *chaos) untilStill(ids []string, limit time.Duration) (waiting []string) {
	c.t.Helper()
	began := time.Now()
	for {
		waiting = nil
		var going []string
		for _, id := range ids {
			running, known := c.describes(id)
			if !known {
				going = append(going, id+" (the server does not answer)")
				continue
			}
			if !running {
				continue
			}
			if s := c.where(id); s.Stage == workflows.StageWaiting {
				waiting = append(waiting, id)
			} else if s.Stage != workflows.StageWatching {
				going = append(going, fmt.Sprintf("%s (%s, %s, %s)", id, s.Stage, s.Step, s.Sentence))
			}
		}
		if len(going) == 0 {
			c.tell("still after %.1f s", time.Since(began).Seconds())
			return waiting
		}
		if time.Since(began) > limit {
			c.violated("after %.0f s these neither end nor ask: %s", time.Since(began).Seconds(), strings.Join(going, "; "))
			limit = 5 * limit // and then nothing more can be said of them
		}
		if time.Since(began) > 5*settling {
			return waiting
		}
		c.pause(500 * time.Millisecond)
	}
}

// where is how a workflow stands; of no stage where it cannot say.
func (c *chaos) where(id string) (s status) {
	c.t.Helper()
	_ = json.Unmarshal([]byte(c.attempt("status", id, "--json").out), &s)
	return s
}

// answered holds a workflow that asks to a cause that still holds, and to its end once it is answered.
func (c *chaos) answered(id string) {
	c.t.Helper()
	s := c.where(id)
	g, _ := s.Open()
	c.tell("%s waits: %s (%s)", id, g.Question, g.Verdict.Reason)
	if !c.cause(s) {
		c.violated("%s waits for a cause that is gone: %s", id, g.Question)
	}
	for began := time.Now(); ; c.pause(500 * time.Millisecond) {
		if running, known := c.describes(id); known && !running {
			return
		}
		c.answers(id)
		if time.Since(began) > settling {
			c.violated("%s does not end %.0f s after it was answered: %s", id, settling.Seconds(), c.where(id).Sentence)
			return
		}
	}
}

// cause says whether what a workflow asks about is still so: no session of ours holds anything any more, and every server
// answers, so that a publish that is held up, or an outage, is over.
func (c *chaos) cause(s status) bool {
	g, _ := s.Open()
	switch {
	case strings.Contains(g.Question, "turn-back is open"):
		return c.number(`SELECT count(*) FROM rides_dev__ledger.turn_back WHERE state = 'open' AND pipeline = $1`, s.Pipeline) > 0
	case slices.Contains(g.Choices, gate.Terminate), strings.Contains(g.Question, "could not run"):
		return false
	}
	return true
}

// finishes is what a person does with what is open when nothing runs any more: the same command, or recover.
func (c *chaos) finishes(l *chaosLab) {
	c.t.Helper()
	if c.number(`SELECT count(*) FROM rides_dev__ledger.turn_back WHERE state = 'open' AND pipeline = $1`, l.name) > 0 {
		c.starts("rollback", l.name, "--env", "dev", "--resume", "--detach")
		for _, id := range c.untilStill([]string{workflows.RollbackID(l.name, "dev")}, settling) {
			c.answered(id)
		}
	}
	for _, id := range c.texts(`SELECT owner FROM rides_dev__ledger.crossing WHERE pipeline = $1`, l.name) {
		c.violated("%s has ended and still crosses", id)
	}
	for _, id := range c.texts(`SELECT owner FROM rides_dev__ledger.backfill WHERE pipeline = $1 AND ended_at IS NULL`, l.name) {
		c.violated("%s has ended and still has its span", id)
	}
	if c.number(`SELECT count(*) FROM rides_dev__ledger.turn_back WHERE state = 'open' AND pipeline = $1`, l.name) > 0 {
		c.violated("the turn-back of %s does not end", l.name)
	}
}

// whole holds what is live to the promises.
func (c *chaos) whole() {
	c.t.Helper()
	for _, t := range c.tables {
		t.whole()
	}
	for _, what := range c.texts(leftSQL) {
		c.violated("what a migration made for a while is left: %s", what)
	}
	for _, l := range c.labs {
		if torn := c.number(l.torn()); torn != 0 {
			c.violated("%d days of %s are torn", torn, l.name)
		}
		for _, slot := range c.texts(`
			SELECT format('%s %s is of %s under tenure %s, and %s is active under tenure %s', live.output, live.partition, g.version, live.tenure, t.version, t.number)
			FROM rides_dev__ledger.live
			JOIN rides_dev__ledger.generation g ON g.id = live.generation
			JOIN rides_dev__ledger.active a ON a.pipeline = g.pipeline
			JOIN rides_dev__ledger.tenure t ON t.number = a.tenure
			WHERE g.pipeline = $1 AND g.digest <> t.digest
			  AND NOT EXISTS (
			    SELECT
			    FROM rides_dev__ledger.left_over o
			    WHERE o.output = live.output AND o.partition = live.partition AND o.turn_back >= t.number)`, l.name) {
			c.violated("%s, and no turn-back names it", slot)
		}
	}
	var outputs []string
	for _, l := range c.labs {
		outputs = append(outputs, l.tables...)
	}
	for _, line := range c.texts(`
		(SELECT 'live and not attached: g' || generation FROM rides_dev__ledger.live WHERE generation IS NOT NULL
		 EXCEPT SELECT 'live and not attached: ' || c.relname FROM pg_class c JOIN pg_class p ON p.oid = pg_partition_root(c.oid)
		 WHERE p.relnamespace = to_regnamespace('rides_dev') AND p.relname = ANY($1) AND c.relispartition AND c.relkind = 'r')
		UNION ALL
		(SELECT 'attached and not live: ' || c.relname FROM pg_class c JOIN pg_class p ON p.oid = pg_partition_root(c.oid)
		 WHERE p.relnamespace = to_regnamespace('rides_dev') AND p.relname = ANY($1) AND c.relispartition AND c.relkind = 'r'
		 EXCEPT SELECT 'attached and not live: g' || generation FROM rides_dev__ledger.live WHERE generation IS NOT NULL)`, outputs) {
		c.violated("%s", line)
	}
}
