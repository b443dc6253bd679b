package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// chaosRoles may read and write a table of which others are the owner: the whole of it, or some columns.
type chaosRoles struct{ whole, parts string }

func (c *chaos) newRoles() chaosRoles {
	c.t.Helper()
	r := chaosRoles{whole: c.namespace + "_whole", parts: c.namespace + "_parts"}
	admin := c.admin("")
	for _, role := range []string{r.whole, r.parts} {
		_, err := admin.Exec(c.t.Context(), `CREATE ROLE `+role)
		require.NoError(c.t, err)
		c.t.Cleanup(func() {
			ctx := cleanup(c.t)
			admin.Reset() // the server may have been another one
			_, err := admin.Exec(ctx, `DROP OWNED BY `+role+`; DROP ROLE `+role)
			require.NoError(c.t, err)
		})
	}
	return r
}

// admin is a pool of the superuser in the world's database, as some role where one is said.
func (c *chaos) admin(role string) *pgxpool.Pool {
	c.t.Helper()
	at, err := url.Parse(os.Getenv(superuserURL))
	require.NoError(c.t, err)
	at.Path = "/" + c.namespace
	config, err := pgxpool.ParseConfig(at.String())
	require.NoError(c.t, err)
	if role != "" {
		config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, `SET ROLE `+role)
			return err
		}
	}
	pool, err := pgxpool.NewWithConfig(c.t.Context(), config)
	require.NoError(c.t, err)
	c.t.Cleanup(pool.Close)
	return pool
}

// fareRights are those who have rights on a table, of which a brownout takes some for a while.
type fareRights struct {
	*fareTraffic
	as      []*pgxpool.Pool
	refused int
}

func (c *chaos) newRights(f *fareTraffic) *fareRights {
	c.t.Helper()
	_, err := f.pool.Exec(c.t.Context(), `GRANT USAGE ON SCHEMA rides_dev TO `+c.roles.whole+`, `+c.roles.parts)
	require.NoError(c.t, err)
	return &fareRights{fareTraffic: f, as: []*pgxpool.Pool{c.admin(c.roles.whole), c.admin(c.roles.parts)}}
}

// goes lets each of them use its rights until stops.
func (r *fareRights) goes(ctx context.Context, seed uint64) {
	for i, pool := range r.as {
		who := []string{"who has rights on the whole table", "who has rights on columns"}[i]
		r.over(50*time.Millisecond, func(draw *rand.Rand) {
			r.told(who, r.knowing(func() error { return r.uses(ctx, pool, draw.IntN(2) == 0) }))
		}, seed+uint64(10+i))
	}
}

// uses reads or writes the column that is renamed. While the brownout is on that is refused, and never before they were ready; what does not go
// is never refused.
func (r *fareRights) uses(ctx context.Context, pool *pgxpool.Pool, reads bool) error {
	is, comes := r.shapes()
	if _, err := pool.Exec(ctx, `SELECT max(id) FROM rides_dev.`+is.table); err != nil {
		return err
	}
	by := func(column string) error {
		sql := `SELECT sum(` + column + `) FROM rides_dev.` + is.table
		if !reads {
			sql = `UPDATE rides_dev.` + is.table + ` SET ` + column + ` = ` + column + ` WHERE id < 0`
		}
		_, err := pool.Exec(ctx, sql)
		return err
	}
	before, err := r.dark(ctx)
	if err != nil {
		return err
	}
	err = by(is.amount)
	if !r.ready {
		return err
	}
	after, darkErr := r.dark(ctx)
	switch {
	case darkErr != nil:
		return darkErr
	case err == nil && before.Equal(after) && !before.IsZero():
		r.wrong(fmt.Sprintf("%s is to be had while the brownout is on", is.amount))
		return nil
	case toldThat(err, pgerrcode.InsufficientPrivilege) && (!before.IsZero() || !after.IsZero()):
		r.model.Lock()
		r.refused++
		r.model.Unlock()
		return by(comes.amount)
	case toldThat(err, pgerrcode.InsufficientPrivilege): // one may have come and gone
		err = by(is.amount)
	}
	if toldThat(err, pgerrcode.UndefinedColumn) {
		return by(comes.amount)
	}
	return err
}

// dark is since when the brownout is on; zero: it is not.
func (r *fareRights) dark(ctx context.Context) (since time.Time, err error) {
	err = r.pool.QueryRow(ctx, `
		SELECT coalesce(max(brownout_since), '0001-01-01Z')
		FROM rides_dev__ledger.migration
		WHERE table_name = ANY($1) AND ended_at IS NULL AND brownout_since IS NOT NULL AND brownout_until IS NULL`, r.kind.tables()).Scan(&since)
	return since, err
}

func (r *fareRights) summary() (summary string, enough bool) {
	summary, enough = r.fareTraffic.summary()
	return fmt.Sprintf("%s, %d were refused in brownouts", summary, r.refused), enough && r.refused > 0
}
