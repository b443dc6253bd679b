package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"drawbridge/internal/catalog"
)

// fareWriters is how many write; the keys of each are its own.
const fareWriters = 2

// fare is what a row has to hold.
type fare struct{ amount, qty int }

// fareTraffic is who reads and writes a table that is migrated, and what it has to hold.
type fareTraffic struct {
	kind chaosKind
	pool *pgxpool.Pool
	// knows is held for reading by every write and read, and for writing where at and ready change: at is how many migrations they know
	// to be done, ready that they take either shape of the next one.
	knows sync.RWMutex
	at    int
	ready bool

	model   sync.Mutex
	rows    map[int]fare
	doubt   [fareWriters]map[int]fare // a write that has not been answered yet
	next    [fareWriters]int          // key to insert
	wrongs  map[string]int
	writes  int
	reads   int
	slowest time.Duration // write, of those that were answered

	enough chan struct{}
	group  sync.WaitGroup
}

func newFareTraffic(pool *pgxpool.Pool, kind chaosKind) *fareTraffic {
	f := &fareTraffic{kind: kind, pool: pool, rows: map[int]fare{}, wrongs: map[string]int{}, enough: make(chan struct{})}
	for i := range kind.rows {
		f.rows[i] = fare{amount: i % 1000, qty: i % 7}
	}
	for w := range f.next {
		f.next[w] = kind.rows + w
	}
	return f
}

// fills writes the rows that are there from the beginning.
func (f *fareTraffic) fills(ctx context.Context) error {
	t := f.kind.turn(0)
	_, err := f.pool.CopyFrom(ctx, pgx.Identifier{"rides_dev", t.table}, []string{"id", t.amount, "qty", "note"},
		pgx.CopyFromSlice(len(f.rows), func(i int) ([]any, error) {
			return []any{i, f.rows[i].amount, f.rows[i].qty, "there from the beginning"}, nil
		}))
	return err
}

// shapes are what is known to be there, and what comes in its place.
func (f *fareTraffic) shapes() (is, comes chaosTurn) { return f.kind.turn(f.at), f.kind.turn(f.at + 1) }

// know tells all who read and write what they may rely on, once none of them does what it did before.
func (f *fareTraffic) know(at int, ready bool) {
	f.knows.Lock()
	defer f.knows.Unlock()
	f.at, f.ready = at, ready
}

// goes lets them read and write until stops.
func (f *fareTraffic) goes(ctx context.Context, seed uint64) {
	for w := range fareWriters {
		f.over(f.kind.every, func(draw *rand.Rand) { f.write(ctx, draw, w) }, seed+uint64(w)+1)
	}
	f.over(50*time.Millisecond, func(draw *rand.Rand) {
		f.told("a reader", f.knowing(func() error {
			if draw.IntN(2) == 0 {
				return f.naive(ctx)
			}
			return f.holds(ctx, float64(draw.IntN(800))/1000)
		}))
	}, seed)
}

func (f *fareTraffic) stops() {
	close(f.enough)
	f.group.Wait()
}

// over does something again and again.
func (f *fareTraffic) over(every time.Duration, do func(*rand.Rand), seed uint64) {
	draw := rand.New(rand.NewPCG(seed, seed))
	f.group.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-f.enough:
				return
			case <-tick.C:
				do(draw)
			}
		}
	})
}

func (f *fareTraffic) knowing(do func() error) error {
	f.knows.RLock()
	defer f.knows.RUnlock()
	return do()
}

// told notes what nobody may be told. A server that is away is no fault; lost says that it is.
func (f *fareTraffic) told(who string, err error) (lost bool) {
	if err == nil {
		return false
	}
	pg, answered := errors.AsType[*pgconn.PgError](err)
	if !answered || strings.HasPrefix(pg.Code, "57") || strings.HasPrefix(pg.Code, "08") {
		return true
	}
	f.wrong(fmt.Sprintf("%s of %s was told %s %s", who, f.kind.tables()[0], pg.Code, pg.Message))
	return false
}

func (f *fareTraffic) wrong(what string) {
	f.model.Lock()
	defer f.model.Unlock()
	f.wrongs[what]++
}

// texts are the wrongs that were seen.
func (f *fareTraffic) texts() (lines []string) {
	f.model.Lock()
	defer f.model.Unlock()
	for what, n := range f.wrongs {
		lines = append(lines, fmt.Sprintf("%s, %d times", what, n))
	}
	return lines
}

// write writes a row, until it is answered: what was written twice is as what was written once.
func (f *fareTraffic) write(ctx context.Context, draw *rand.Rand, writer int) {
	f.model.Lock()
	id, insert := f.next[writer], draw.IntN(4) == 0
	if !insert {
		id = writer + fareWriters*draw.IntN(id/fareWriters)
	}
	row := f.rows[id]
	switch n := draw.IntN(3); {
	case insert, n == 0:
		row = fare{amount: draw.IntN(1000), qty: draw.IntN(100)}
	case n == 1:
		row.amount = draw.IntN(1000)
	default:
		row.qty = draw.IntN(100)
	}
	f.doubt[writer] = map[int]fare{id: row}
	f.model.Unlock()
	for newer := draw.IntN(2) == 0; ; {
		began := time.Now()
		err := f.knowing(func() error { return f.put(ctx, id, row, insert, newer) })
		if f.told("a writer", err) {
			timer := time.NewTimer(100 * time.Millisecond)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			continue
		}
		f.model.Lock()
		defer f.model.Unlock()
		f.doubt[writer] = nil
		if err != nil {
			return
		}
		f.writes, f.slowest = f.writes+1, max(f.slowest, time.Since(began))
		f.rows[id] = row
		if insert {
			f.next[writer] += fareWriters
		}
		return
	}
}

// put writes a row by the names that are known. Who is ready for either looks first which there is, and takes the newer one where wanted,
// if both are written.
func (f *fareTraffic) put(ctx context.Context, id int, row fare, insert, newer bool) error {
	is, comes := f.shapes()
	by := func(q catalog.Querier, table, column string) error {
		_, err := q.Exec(ctx, putting(table, column, insert), id, row.amount, row.qty)
		return err
	}
	switch {
	case !f.ready:
		return by(f.pool, is.table, is.amount)
	case is.table != comes.table:
		return either(is, comes, newer, func(t chaosTurn) error { return by(f.pool, t.table, t.amount) })
	case is.amount == comes.amount:
		return by(f.pool, is.table, is.amount)
	}
	return pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE rides_dev.`+is.table+` IN ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		var old, both bool
		if err := tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('rides_dev.' || $1::text) AND attname = $2 AND NOT attisdropped),
			       EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('rides_dev.' || $1::text))`, is.table, is.amount).Scan(&old, &both); err != nil {
			return err
		}
		column := is.amount
		if !old || both && newer {
			column = comes.amount
		}
		return by(tx, is.table, column)
	})
}

// either does something by one of two names of a table, and by the other one where there is none of that name.
func either(is, comes chaosTurn, newer bool, do func(chaosTurn) error) error {
	if newer {
		is, comes = comes, is
	}
	err := do(is)
	if toldThat(err, pgerrcode.UndefinedTable) {
		return do(comes)
	}
	return err
}

// toldThat says that the server has answered so.
func toldThat(err error, code string) bool {
	pg, answered := errors.AsType[*pgconn.PgError](err)
	return answered && pg.Code == code
}

// putting is the statement that writes a row. The values are numbers, whatever the columns are.
func putting(table, column string, insert bool) string {
	if insert {
		return `INSERT INTO rides_dev.` + table + ` (id, ` + column + `, qty, note) VALUES ($1, $2::int, $3::int, 'written meanwhile') ON CONFLICT (id) DO NOTHING`
	}
	return `UPDATE rides_dev.` + table + ` SET ` + column + ` = $2::int, qty = $3::int WHERE id = $1`
}

// naive reads by the names that are known, unless a column may go at any time.
func (f *fareTraffic) naive(ctx context.Context) error {
	is, comes := f.shapes()
	by := func(t chaosTurn) error {
		var n, sum int
		return f.pool.QueryRow(ctx, `SELECT count(*), sum(`+t.amount+`::int + qty::int) FROM rides_dev.`+t.table).Scan(&n, &sum)
	}
	var err error
	switch {
	case !f.ready:
		err = by(is)
	case is.amount != comes.amount:
		return nil
	default:
		err = either(is, comes, true, by)
	}
	f.read(err)
	return err
}

// holds holds every row to the rule: while a column is there in both shapes, the new one has no value yet, or that which up gives of the old
// one; after they were verified each has. It stays in its transaction for so many seconds, and has whoever wants to alter the table wait.
func (f *fareTraffic) holds(ctx context.Context, stays float64) error {
	is, comes := f.shapes()
	if f.ready && is.table != comes.table { // either name may go
		return nil
	}
	err := pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE rides_dev.`+is.table+` IN ACCESS SHARE MODE`); err != nil {
			return err
		}
		var phase string
		var there []string
		if err := tx.QueryRow(ctx, `
			SELECT coalesce((SELECT phase FROM rides_dev__ledger.migration WHERE table_name = $1 AND ended_at IS NULL AND NOT back), ''),
			       array(SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass('rides_dev.' || $1) AND attnum > 0 AND NOT attisdropped)`, is.table).Scan(&phase, &there); err != nil {
			return err
		}
		for _, pair := range [][2]string{{is.amount, comes.amount}, {"qty", "qty__new"}, {"qty__old", "qty"}} {
			if phase == "" || !slices.Contains(there, pair[0]) || !slices.Contains(there, pair[1]) {
				continue
			}
			condition := pair[1] + `::text IS DISTINCT FROM ` + pair[0] + `::text`
			switch phase {
			case "switch", "deprecate", "contract":
			default:
				condition += ` AND ` + pair[1] + ` IS NOT NULL`
			}
			var broken int
			if err := tx.QueryRow(ctx, `SELECT count(*) FROM rides_dev.`+is.table+` WHERE `+condition).Scan(&broken); err != nil {
				return err
			}
			if broken > 0 {
				f.wrong(fmt.Sprintf("in the phase %s, %s of %s is not as %s wants it in %d rows", phase, pair[1], is.table, pair[0], broken))
			}
		}
		_, err := tx.Exec(ctx, `SELECT pg_sleep($1)`, stays)
		return err
	})
	f.read(err)
	return err
}

func (f *fareTraffic) read(err error) {
	f.model.Lock()
	defer f.model.Unlock()
	if err == nil {
		f.reads++
	}
}

// summary says how much was read and written.
func (f *fareTraffic) summary() (text string, enough bool) {
	return fmt.Sprintf("%d writes, %d reads; the slowest write took %.1f s", f.writes, f.reads, f.slowest.Seconds()), f.writes > 0 && f.reads > 0
}

// differs says which rows are not as they have to be after so many migrations. Nobody writes while it looks.
func (f *fareTraffic) differs(ctx context.Context, after int) (wrong []string, err error) {
	f.knows.Lock()
	defer f.knows.Unlock()
	t := f.kind.turn(after)
	found, err := f.pool.Query(ctx, `SELECT id, `+t.amount+`::int, qty::int FROM rides_dev.`+t.table)
	if err != nil {
		return nil, err
	}
	f.model.Lock()
	defer f.model.Unlock()
	var id int
	var row fare
	there := map[int]bool{}
	_, err = pgx.ForEachRow(found, []any{&id, &row.amount, &row.qty}, func() error {
		there[id] = true
		want, known := f.rows[id]
		if written, open := f.doubt[id%fareWriters][id]; open && row == written || known && row == want {
			return nil
		}
		wrong = append(wrong, fmt.Sprintf("row %d of %s holds %v, and %v was written", id, t.table, row, want))
		return nil
	})
	if err != nil {
		return nil, err
	}
	for id, want := range f.rows {
		if !there[id] {
			wrong = append(wrong, fmt.Sprintf("row %d of %s is gone, and %v was written", id, t.table, want))
		}
	}
	if len(wrong) > 5 {
		wrong = append(wrong[:5], fmt.Sprintf("so it is with %d rows", len(wrong)))
	}
	return wrong, nil
}
