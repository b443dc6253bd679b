package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/migrate"
)

// taxiKind renames a column of an output, whose releases give one of both, or both.
func taxiKind() chaosKind {
	return chaosKind{name: ofOutput, flags: []string{"--give-up-rollback"}, turns: []chaosTurn{
		{way: "taxis_there", table: "y1", amount: "v", deprecate: soonGone, operations: []string{`rename_column: {column: v, to: w}`}},
		{way: "taxis_back", table: "y1", amount: "w", deprecate: soonGone, operations: []string{`rename_column: {column: w, to: v}`}},
	}}
}

// The releases of the pipeline whose output is migrated.
const (
	givesOne   = "1.0.0"
	givesBoth  = "1.1.0"
	givesOther = "1.2.0"
)

// newTaxis is the pipeline whose output is migrated.
func (c *chaos) newTaxis() {
	c.t.Helper()
	l := &chaosLab{tbLab: c.tbNewLab("taxis", 4), tables: []string{"y1", "y2"}}
	for _, release := range []struct {
		version string
		factor  int
		gives   []string
	}{{givesOne, 1, []string{"v"}}, {givesBoth, 10, []string{"v", "w"}}, {givesOther, 100, []string{"w"}}} {
		r := tbRelease{version: release.version, factor: release.factor, outputs: l.tables, schema: "rides_dev"}
		folder := l.folder(r)
		sql := "SELECT id, d"
		for _, column := range release.gives {
			sql += fmt.Sprintf(", (%d * v)::numeric(12,2) AS %s", r.factor, column)
		}
		c.write(folder+"/sql/y1.sql", sql+"\nFROM raw\n")
		body, err := os.ReadFile(c.path(folder + "/pipeline.yaml"))
		require.NoError(c.t, err)
		c.write(folder+"/pipeline.yaml", strings.ReplaceAll(string(body), "changed: {v: 100%}", "changed: {v: 100%, w: 100%}"))
		c.cli(0, "build", folder)
		l.releases = append(l.releases, r)
	}
	c.labs = append(c.labs, l)
}

// wants is the release that the open migration of the output waits for; empty: for none, or it is active.
func (t *chaosTable) wants() (version string) {
	at, _ := t.phase()
	switch {
	case at.phase == "" || at.phase == undoing:
		return ""
	case at.phase.Before(migrate.Deprecating):
		version = givesBoth
	default:
		version = map[string]string{"v": givesOther, "w": givesOne}[t.kind.turn(t.at).amount]
	}
	ctx, cancel := context.WithTimeout(t.c.t.Context(), 3*time.Second)
	defer cancel()
	var active string
	if err := t.c.db.QueryRow(ctx, `
		SELECT t.version
		FROM rides_dev__ledger.active a
		JOIN rides_dev__ledger.tenure t ON t.number = a.tenure
		WHERE a.pipeline = $1`, t.lab.name).Scan(&active); err != nil || active == version {
		return ""
	}
	return version
}

// choose is the release that the open migration waits for, and one that somebody may bring, or go back to, beside it. Whether that is let in
// is for the migration to say as long as it is one; where it may be over when the release comes, people choose what gives what readers know.
func (t *chaosTable) choose(draw *rand.Rand) (wanted string, r tbRelease) {
	wanted = t.wants()
	all := t.lab.releases // one, both, the other
	switch at, _ := t.phase(); {
	case at.phase == "" && t.kind.turn(t.at).amount == "v":
		return wanted, all[draw.IntN(2)]
	case at.phase == "":
		return wanted, all[1+draw.IntN(2)]
	case at.phase != undoing && at.phase.Before(migrate.Deprecating):
		return wanted, all[draw.IntN(len(all))]
	}
	return wanted, all[1]
}

// gives brings the release that the migration waits for, and builds what that has not built, once nothing is done about the pipeline.
func (t *chaosTable) gives() {
	t.c.t.Helper()
	if t.kind.name != ofOutput {
		return
	}
	for _, id := range t.lab.ids() {
		if t.c.runs(id) {
			t.c.answers(id)
			return
		}
	}
	s := t.c.where(t.id())
	if s.Migration == nil || len(s.Migration.Blocked) == 0 {
		return
	}
	why := strings.Join(s.Migration.Blocked, "; ")
	switch version := t.wants(); {
	case version != "":
		t.c.starts("deploy", t.lab.name+"-"+version, "--to", "dev", "--rebuild", "all", "--detach")
	case strings.Contains(why, "drawbridge backfill"):
		t.c.starts("backfill", t.lab.name, "--env", "dev", "--from", t.lab.days[0], "--to", t.lab.days[len(t.lab.days)-1], "--force", "--reason", "chaos", "--detach")
	}
}

// taxiTraffic are readers of the output.
type taxiTraffic struct{ *fareTraffic }

func newTaxiTraffic(pool *pgxpool.Pool, kind chaosKind) *taxiTraffic {
	return &taxiTraffic{newFareTraffic(pool, kind)}
}

func (x *taxiTraffic) goes(ctx context.Context, seed uint64) {
	x.over(50*time.Millisecond, func(*rand.Rand) {
		x.told("a reader", x.knowing(func() error {
			wrong, err := x.looks(ctx, x.at, x.ready)
			for _, line := range wrong {
				x.wrong(line)
			}
			x.read(err)
			return err
		}))
	}, seed)
}

// know leaves them ready for either shape of a migration that is begun anew: the release without the old one may be there already.
func (x *taxiTraffic) know(at int, ready bool) {
	x.fareTraffic.know(at, ready || at == x.at && x.ready)
}

// looks reads by the name that is known, which every row has a value under; for who is ready it has one under either. Where a row has both they
// are the same.
func (x *taxiTraffic) looks(ctx context.Context, at int, ready bool) (wrong []string, err error) {
	t := x.kind.turn(at)
	value := t.amount
	if ready {
		value = `coalesce(to_jsonb(y) ->> 'v', to_jsonb(y) ->> 'w')`
	}
	var rows, valued, differ int
	err = x.pool.QueryRow(ctx, `
		SELECT count(*), count(`+value+`), count(*) FILTER (WHERE to_jsonb(y) ->> 'v' <> to_jsonb(y) ->> 'w')
		FROM rides_dev.`+t.table+` AS y`).Scan(&rows, &valued, &differ)
	if valued < rows {
		wrong = append(wrong, fmt.Sprintf("%d of %d rows of %s have no %s", rows-valued, rows, t.table, value))
	}
	if differ > 0 {
		wrong = append(wrong, fmt.Sprintf("v and w of %s differ in %d rows", t.table, differ))
	}
	return wrong, err
}

func (x *taxiTraffic) differs(ctx context.Context, after int) ([]string, error) {
	x.knows.Lock()
	defer x.knows.Unlock()
	return x.looks(ctx, after, after == x.at && x.ready)
}

func (x *taxiTraffic) summary() (summary string, enough bool) {
	return fmt.Sprintf("%d reads", x.reads), x.reads > 0
}
