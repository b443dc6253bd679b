package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/workflows"
)

// fareRows are there before the plain table is migrated. Bringing them over takes long enough to be interrupted.
const fareRows = 60_000

// undoing is the phase of a migration that goes back.
const undoing migrate.Phase = "undo"

// What a fault meets that comes in a phase of a migration, or while one of a kind is open.
func duringPhase(phase migrate.Phase) string { return "migration: " + string(phase) }
func duringKind(kind string) string          { return "migration of the kind " + kind }

// duringBrownout is what a fault meets that comes while rights are taken.
const duringBrownout = "migration: brownout"

// chaosTable is a table whose migrations go there and back again. Its writers know the old shape only until they have said that they are ready.
type chaosTable struct {
	c       *chaos
	kind    chaosKind
	lab     *chaosLab
	traffic chaosTraffic
	models  [][]string // what the catalog has to say of it before each turn; none: a pipeline makes it
	names   []string   // of the migrations, in order
	// versions are those of the releases that have them.
	versions []string
	at       int // how many are known to be done
	seen     int // rows of the ledger whose end was looked at
}

// chaosTraffic is who reads and writes a table that is migrated.
type chaosTraffic interface {
	// know tells them how many migrations are done, and whether they have to be ready for either shape of the next one.
	know(at int, ready bool)
	// differs says which rows are not as they have to be after so many migrations.
	differs(ctx context.Context, after int) ([]string, error)
	stops()
	// texts are the wrongs that were seen, summary is what was done.
	texts() []string
	summary() (text string, enough bool)
}

// packed is how many migrations a release has at most: whoever begins one reads all of them.
const packed = 8

// newTables are a table of each kind, and the releases that have their migrations: so many of the plain one, and half of the others.
func (c *chaos) newTables(migrations int) {
	c.t.Helper()
	c.roles = c.newRoles()
	taxis := c.labs[len(c.labs)-1]
	for i, kind := range []chaosKind{fareKind(), triedKind(c.roles), keyedKind(), partitionedKind(), renamedKind(), taxiKind()} {
		t := &chaosTable{c: c, kind: kind, lab: c.labs[0]}
		n := migrations / 2
		switch kind.name {
		case plainFares:
			n = migrations
		case ofOutput:
			t.lab, taxis.choose = taxis, t.choose
		}
		for len(t.names) < n {
			t.releases(fmt.Sprintf("2.%d.%d", i, len(t.names)/packed))
		}
		c.tables = append(c.tables, t)
	}
}

// releases builds a release with the next migrations.
func (t *chaosTable) releases(version string) {
	t.c.t.Helper()
	r := tbFirst(t.lab.tables...)
	r.version, r.schema = version, "rides_dev"
	folder := t.lab.folder(r)
	for range packed {
		turn := t.kind.turn(len(t.names))
		t.c.numbered++
		name := fmt.Sprintf("%04d_%s", t.c.numbered, turn.way)
		t.names, t.versions = append(t.names, name), append(t.versions, version)
		t.c.write(folder+"/migrations/"+name+".yaml", turn.file())
	}
	t.c.cli(0, "build", folder)
}

// made makes the tables, and lets others read and write them.
func (c *chaos) made(seed uint64) {
	c.t.Helper()
	for i, t := range c.tables {
		t.made(seed + uint64(100*i))
	}
}

func (t *chaosTable) made(seed uint64) {
	t.c.t.Helper()
	ctx := t.c.t.Context()
	pool, err := pgxpool.New(ctx, t.c.url)
	require.NoError(t.c.t, err)
	t.c.t.Cleanup(pool.Close)
	if t.kind.name == ofOutput {
		traffic := newTaxiTraffic(pool, t.kind)
		t.traffic = traffic
		traffic.goes(ctx, seed)
		return
	}
	for _, turn := range t.kind.turns {
		model, err := t.kind.model(ctx, pool, turn)
		require.NoError(t.c.t, err)
		t.models = append(t.models, model)
	}
	require.NoError(t.c.t, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for _, sql := range append([]string{`SET LOCAL search_path = rides_dev`}, t.kind.turn(0).model...) {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	}))
	fares := newFareTraffic(pool, t.kind)
	require.NoError(t.c.t, fares.fills(ctx))
	fares.goes(ctx, seed)
	t.traffic = fares
	if t.kind.name == tried {
		rights := t.c.newRights(fares)
		rights.goes(ctx, seed)
		t.traffic = rights
	}
}

// next is the place of the migration whose turn it is; once all are done, of the last.
func (t *chaosTable) next() int { return min(t.at, len(t.names)-1) }

func (t *chaosTable) name() string { return t.names[t.next()] }

func (t *chaosTable) id() string { return workflows.MigrationID(t.lab.name, "dev", t.name()) }

// starts is the command that begins the migration whose turn it is, or goes on with it.
func (t *chaosTable) starts() {
	t.c.t.Helper()
	t.c.starts(append([]string{"migrate", "start", t.lab.name + "@" + t.versions[t.next()], t.name(), "--env", "dev", "--reason", "chaos", "--detach"}, t.kind.flags...)...)
}

// chaosPhase is where the ledger has the open migration of a table.
type chaosPhase struct {
	phase migrate.Phase // empty: none is open
	dark  bool          // its brownout is on
}

// phases are where the ledger has the open migrations, by table; known says that they were to be read.
func (c *chaos) phases() (open map[string]chaosPhase, known bool) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Second)
	defer cancel()
	rows, err := c.db.Query(ctx, `
		SELECT table_name, CASE WHEN back THEN $1 ELSE phase END, brownout_since IS NOT NULL AND brownout_until IS NULL
		FROM rides_dev__ledger.migration WHERE ended_at IS NULL`, undoing)
	if err != nil {
		return nil, false
	}
	open = map[string]chaosPhase{}
	var table string
	var p chaosPhase
	_, err = pgx.ForEachRow(rows, []any{&table, &p.phase, &p.dark}, func() error {
		open[table] = p
		return nil
	})
	return open, err == nil
}

// phase is where the ledger has the table's.
func (t *chaosTable) phase() (at chaosPhase, known bool) {
	open, known := t.c.phases()
	return t.of(open), known
}

func (t *chaosTable) of(open map[string]chaosPhase) (at chaosPhase) {
	for _, table := range t.kind.tables() {
		if p, is := open[table]; is {
			return p
		}
	}
	return at
}

// busy lets the next migration begin once the last one has ended, and does to one that is under way what people do. It says whether it has
// let one go on to contract, which takes a moment only.
func (t *chaosTable) busy(draw *rand.Rand) (contracts bool) {
	t.c.t.Helper()
	what := draw.IntN(12)
	running, known := t.c.describes(t.id())
	at, read := t.phase()
	switch {
	case !known || !read:
	case !running && at.phase == "":
		if t.noted() && t.at < len(t.names) {
			t.starts()
		}
	case !running && what < 9: // it was terminated, or could not go on
		t.starts()
	case !running, what == 11:
		t.c.starts("migrate", "rollback", t.id(), "--reason", "chaos", "--detach")
	case t.kind.name == tried && what < 3:
		t.c.starts([]string{"pause", "resume", "resume"}[what], t.id(), "--reason", "chaos")
	case what == 10:
		return t.decided(gate.Reject) == gate.Approve
	case at.phase == migrate.Deprecating:
		t.acked()
		return t.decided(gate.Retry) == gate.Approve
	case what < 2:
		t.acked()
	}
	return false
}

// acked says for the writers that they are ready, which they then are.
func (t *chaosTable) acked() {
	t.c.t.Helper()
	if t.kind.turn(t.at).deprecate == "" {
		return
	}
	t.traffic.know(t.at, true)
	t.c.starts("migrate", "ack", t.id(), "--consumer", "writers", "--as", "bob")
}

// decided answers what the migration asks. Whatever happens, no row ever breaks a proof.
func (t *chaosTable) decided(prefer gate.Choice) gate.Choice {
	t.c.t.Helper()
	question, choice := t.c.decides(t.id(), prefer)
	if strings.Contains(question, "does not hold of") {
		t.c.violated("%s: %s", t.id(), question)
	}
	return choice
}

// noted looks at a table of which no migration is open, and whose turn it is next. It says whether the server let it look.
func (t *chaosTable) noted() bool {
	t.c.t.Helper()
	ctx, cancel := context.WithTimeout(t.c.t.Context(), 20*time.Second)
	defer cancel()
	var ended int
	var outcome string
	if err := t.c.db.QueryRow(ctx, `
		SELECT count(*), coalesce((array_agg(outcome ORDER BY ended_at DESC) FILTER (WHERE name = $1))[1], '')
		FROM rides_dev__ledger.migration WHERE table_name = ANY($2) AND ended_at IS NOT NULL`, t.name(), t.kind.tables()).Scan(&ended, &outcome); err != nil {
		return false
	}
	if ended == t.seen {
		return true
	}
	at := t.at
	if outcome == "done" {
		at++
	}
	wrong, err := t.wrong(ctx, at)
	if err != nil {
		return false
	}
	for _, line := range wrong {
		t.c.violated("%s is %s, and %s", t.name(), outcome, line)
	}
	t.c.tell("%s is %s", t.name(), outcome)
	t.seen, t.at = ended, at
	t.traffic.know(at, false)
	return true
}

// wrong is what differs from what the table has to be after so many migrations, in shape, rights and rows.
func (t *chaosTable) wrong(ctx context.Context, after int) (wrong []string, err error) {
	if len(t.models) > 0 {
		shape, err := t.kind.shape(ctx, t.c.db, "rides_dev")
		if err != nil {
			return nil, err
		}
		want := t.models[after%len(t.models)]
		for _, line := range shape {
			if !slices.Contains(want, line) {
				wrong = append(wrong, "the catalog has: "+line)
			}
		}
		for _, line := range want {
			if !slices.Contains(shape, line) {
				wrong = append(wrong, "the catalog lacks: "+line)
			}
		}
	}
	if len(wrong) > 0 {
		return wrong, nil
	}
	return t.traffic.differs(ctx, after)
}

// finishes is what people do when no fault comes any more: they say that they are ready, approve, and give the same command again where
// nothing runs and the ledger has it open. Then it ends.
func (t *chaosTable) finishes() {
	t.c.t.Helper()
	if g, open := t.c.where(t.id()).Open(); open && g.Name != gate.ContractOf("dev") { // nobody is in anything's way any more
		t.c.violated("%s waits for a cause that is gone: %s", t.id(), g.Question)
	}
	limit := settling
	if t.kind.name == ofOutput { // releases are deployed meanwhile
		limit *= 4
	}
	for began := time.Now(); ; t.c.pause(500 * time.Millisecond) {
		running, known := t.c.describes(t.id())
		at, read := t.phase()
		switch {
		case !known || !read:
		case running:
			t.acked()
			t.decided(gate.Retry)
			t.gives()
		case at.phase != "":
			t.starts()
		default:
			if t.noted() {
				return
			}
		}
		if time.Since(began) > limit {
			t.c.violated("%s does not end %.0f s after everybody was ready: %s %s", t.id(), time.Since(began).Seconds(), at.phase, t.c.where(t.id()).Sentence)
			return
		}
	}
}

// whole holds the table to its promises once nobody writes it any more.
func (t *chaosTable) whole() {
	t.c.t.Helper()
	for _, line := range t.traffic.texts() {
		t.c.violated("%s", line)
	}
	wrong, err := t.wrong(t.c.t.Context(), t.at)
	require.NoError(t.c.t, err)
	for _, line := range wrong {
		t.c.violated("in the end %s", line)
	}
	said, enough := t.traffic.summary()
	t.c.tell("%s: %s; migrations: %v", t.kind.name, said,
		t.c.texts(`SELECT outcome || ' ' || count(*) FROM rides_dev__ledger.migration WHERE table_name = ANY($1) GROUP BY outcome ORDER BY 1`, t.kind.tables()))
	if !enough {
		t.c.violated("too little was read or written of the kind %s: %s", t.kind.name, said)
	}
}
