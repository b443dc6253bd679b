package e2e_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
)

// underway is what a fault would interrupt, as the ledger and the server have it.
func (c *chaos) underway() (all []string) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Second)
	defer cancel()
	var back, publish, fills bool
	err := c.db.QueryRow(ctx, `
		SELECT
		  EXISTS (SELECT FROM rides_dev__ledger.turn_back WHERE state = 'open'),
		  EXISTS (
		    SELECT
		    FROM rides_dev__ledger.crossing c
		    JOIN rides_dev__ledger.tenure t ON t.number = c.tenure
		    WHERE t.activated_at IS NULL
		      AND EXISTS (SELECT FROM rides_dev__ledger.generation g WHERE g.owner_key = c.owner AND g.state IN ('built', 'shadow', 'live'))),
		  EXISTS (
		    SELECT
		    FROM rides_dev__ledger.backfill b
		    WHERE b.ended_at IS NULL AND EXISTS (SELECT FROM rides_dev__ledger.generation g WHERE g.owner_key = b.owner))`).Scan(&back, &publish, &fills)
	if err == nil && back {
		all = append(all, turningBack)
	}
	if err == nil && publish {
		all = append(all, publishing)
	}
	if err == nil && fills {
		all = append(all, backfilling)
	}
	open, _ := c.phases()
	for _, t := range c.tables {
		at := t.of(open)
		if at.phase == "" {
			continue
		}
		all = append(all, duringPhase(at.phase), duringKind(t.kind.name), t.kind.name+": "+string(at.phase))
		if at.dark {
			all = append(all, duringBrownout)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for _, l := range c.labs {
		if slices.ContainsFunc(l.runs(), c.runs) {
			return append(all, running)
		}
	}
	return all
}

// fault lets one happen, to what has met too few as far as it is under way.
func (c *chaos) fault() {
	c.t.Helper()
	under := c.underway()
	for range 60 {
		if slices.ContainsFunc(under, c.scarce) {
			break
		}
		c.pause(50 * time.Millisecond)
		under = c.underway()
	}
	kind := c.kind()
	var told []string
	for _, what := range under {
		if slices.Contains(interrupted(), what) {
			c.during[what]++
		} else {
			c.met[what]++
		}
		if !strings.HasPrefix(what, "migration") { // a kind's phase says both
			told = append(told, what)
		}
	}
	c.count++
	c.kinds[kind]++
	c.tell("%s, during %s", kind, strings.Join(told, ", "))
	c.does(kind)
}

// scarce says that something has to meet more faults yet, or nothing has. What a kind of migrations has met in none of its phases comes first.
func (c *chaos) scarce(what string) bool {
	if !slices.Contains(interrupted(), what) {
		return c.met[what] == 0
	}
	return c.lacks(what) || !slices.ContainsFunc(interrupted(), c.lacks)
}

// lacks says that something has met fewer faults than a run has to reach.
func (c *chaos) lacks(what string) bool { return c.during[what] < least(what, c.minutes) }

// kind draws a fault. What takes long to come back from is rare.
func (c *chaos) kind() string {
	switch n := c.draw.IntN(100); {
	case n < 40:
		return killWorker
	case n < 75:
		return freezeWorker
	case n < 81:
		return cancelOne
	case n < 88:
		return terminateOne
	case n < 94:
		return restart
	case n < 97:
		return immediate
	}
	return killStack
}

func (c *chaos) does(kind string) {
	c.t.Helper()
	at := c.draw.IntN(len(c.workers))
	pid := c.workers[at].cmd.Process.Pid
	switch kind {
	case killWorker:
		c.thaw[at] = time.Time{}
		_ = syscall.Kill(-pid, syscall.SIGKILL) // it may have ended
	case freezeWorker:
		c.thaw[at] = time.Now().Add(time.Duration(1+c.draw.IntN(12)) * time.Second)
		_ = syscall.Kill(-pid, syscall.SIGSTOP)
	case cancelOne:
		var alive []string
		for _, l := range c.labs {
			alive = append(alive, slices.DeleteFunc(l.ids(), func(id string) bool { return !c.runs(id) })...)
		}
		for _, t := range c.tables {
			if c.runs(t.id()) {
				alive = append(alive, t.id())
			}
		}
		if len(alive) > 0 {
			c.starts("cancel", alive[c.draw.IntN(len(alive))])
		}
	case terminateOne:
		c.terminates()
	case restart:
		devstack(c.t.Context(), c.t, "restart-postgres", "--dir", c.stack)
		c.db.Reset()
	case immediate:
		body, err := os.ReadFile(filepath.Join(c.stack, "postgres", "data", "postmaster.pid"))
		require.NoError(c.t, err)
		first, _, _ := strings.Cut(string(body), "\n")
		pid, err := strconv.Atoi(first)
		require.NoError(c.t, err)
		require.NoError(c.t, syscall.Kill(pid, syscall.SIGQUIT))
		c.again()
	case killStack:
		body, err := os.ReadFile(filepath.Join(c.stack, "devstack.json"))
		require.NoError(c.t, err)
		var its struct {
			PID int `json:"pid"`
		}
		require.NoError(c.t, json.Unmarshal(body, &its))
		require.NoError(c.t, syscall.Kill(its.PID, syscall.SIGKILL))
		c.again()
	}
}

// terminates terminates a migration, if one runs.
func (c *chaos) terminates() {
	c.t.Helper()
	alive := slices.DeleteFunc(slices.Clone(c.tables), func(t *chaosTable) bool { return !c.runs(t.id()) })
	if len(alive) == 0 {
		return
	}
	id := alive[c.draw.IntN(len(alive))].id()
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Second)
	defer cancel()
	c.tell("terminates %s: %v", id, c.temporal.TerminateWorkflow(ctx, id, "", "chaos")) // it may have ended
}

// again starts the stack once what is left of it has ended.
func (c *chaos) again() {
	c.t.Helper()
	devstack(c.t.Context(), c.t, "down", "--dir", c.stack)
	devstack(c.t.Context(), c.t, "up", "--test", "--dir", c.stack)
	c.db.Reset()
}

// calm ends the faults: every worker runs, and is awake.
func (c *chaos) calm() {
	c.t.Helper()
	for i := range c.thaw {
		if !c.thaw[i].IsZero() {
			c.thaw[i] = time.Now().Add(-time.Second)
		}
	}
	c.tend()
	c.tell("calm")
}
