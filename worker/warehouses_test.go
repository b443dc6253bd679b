package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/secret"
	"drawbridge/internal/source"
	"drawbridge/internal/testdb"
)

// mute is the address of a server that accepts and never answers, and tells of each session that begins.
func mute(t *testing.T) (address string, accepted chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	accepted = make(chan struct{}, 64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			accepted <- struct{}{}
		}
	}()
	return l.Addr().String(), accepted
}

// A database that accepts and never answers is said in seconds to those who ask for it, and keeps nobody else.
func TestADatabaseThatNeverAnswersStopsNobodyElse(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	address, accepted := mute(t)
	policy := pipeline.Policy{Environment: "dev", Connections: map[string]pipeline.Connection{
		"hung": {URL: "postgres://u@" + address + "/d?sslmode=disable"}, "warehouse": {URL: "${env:WAREHOUSE}"},
	}}
	resolver := secret.Resolver{Getenv: func(string) string { return db.URL }, ReadFile: os.ReadFile}
	w := newWarehouses(2, resolver)
	t.Cleanup(w.close)
	open := w.opener(policy, source.Below(t.TempDir()))
	config := func(connection string) pipeline.Config {
		return pipeline.Config{Environment: "dev", Warehouse: connection, WarehouseSchema: db.Schema}
	}
	const askers = 5
	began := time.Now()
	errs := make(chan error, askers)
	for range askers {
		go func() {
			_, err := open(t.Context(), config("hung"))
			errs <- err
		}()
	}
	<-accepted
	leaving, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := open(leaving, config("hung"))
		left <- err
	}()
	leave()
	require.ErrorIs(t, <-left, context.Canceled, "who leaves does not wait")
	_, err := open(t.Context(), config("warehouse"))
	require.NoError(t, err)
	select {
	case err := <-errs:
		require.FailNow(t, "the test means to ask while the other hangs", "%v", err)
	default:
	}
	for range askers {
		err := <-errs
		require.ErrorAs(t, err, new(fault.Unreachable))
		require.ErrorContains(t, err, "did not answer")
	}
	require.Less(t, time.Since(began), 30*time.Second)
}

// However many schemas an environment has, and however many of them are looked at at once, its worker has as many sessions as
// its activities need: the others are for everybody else.
func TestTheSchemasOfAnEnvironmentShareItsSessions(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	env := strings.TrimPrefix(db.Schema, "test_") // no other test's sessions are called so
	policy := pipeline.Policy{Environment: env, Connections: map[string]pipeline.Connection{"warehouse": {URL: "${env:WAREHOUSE}"}}}
	w := newWarehouses(2, secret.Resolver{Getenv: func(string) string { return db.URL }, ReadFile: os.ReadFile})
	t.Cleanup(w.close)
	open := w.opener(policy, source.Below(t.TempDir()))
	const schemas, together = 60, 30
	var group errgroup.Group
	group.SetLimit(together)
	for i := range schemas {
		group.Go(func() error {
			opened, err := open(t.Context(), pipeline.Config{Environment: env, Warehouse: "warehouse", WarehouseSchema: fmt.Sprintf("%s_%d", db.Schema, i)})
			if err != nil {
				return err
			}
			_, err = opened.Standing(t.Context())
			return err
		})
	}
	require.NoError(t, group.Wait())
	var sessions int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1`, "drawbridge/"+env).Scan(&sessions))
	require.Positive(t, sessions)
	require.LessOrEqual(t, sessions, sessionsPerActivity*(controls+2))
}

// Whatever a config says, a credential goes to the host of its own connection and to no other.
func TestACredentialIsBoundToItsConnection(t *testing.T) {
	t.Parallel()
	address, accepted := mute(t)
	asked := false
	resolver := secret.Resolver{Getenv: func(string) string { asked = true; return "hunter2" }, ReadFile: func(string) ([]byte, error) { asked = true; return []byte("hunter2"), nil }}
	policy := pipeline.Policy{Environment: "prod", Connections: map[string]pipeline.Connection{
		"warehouse": {URL: "postgres://runner@db.internal:5432/warehouse", Password: "${env:PW}", Schemas: pipeline.Schemas{Write: []string{"shop"}}},
	}}
	w := newWarehouses(2, resolver)
	t.Cleanup(w.close)
	open := w.opener(policy, source.Below(t.TempDir()))
	for _, warehouse := range []string{
		"postgres://runner@" + address + "/warehouse", "postgres://runner@db.internal:5433/warehouse", "postgres://runner@db.internal/other",
		"postgres://other@db.internal/warehouse", "postgres://runner@db.internal.evil.example/warehouse", "other", "",
	} {
		_, err := open(t.Context(), pipeline.Config{Environment: "prod", Warehouse: warehouse, WarehouseSchema: "shop"})
		require.Equal(t, fault.Refused, fault.ClassOf(err), "%s: %v", warehouse, err)
	}
	_, err := open(t.Context(), pipeline.Config{Environment: "prod", Warehouse: "warehouse", WarehouseSchema: "shop_prod"})
	require.Equal(t, fault.Refused, fault.ClassOf(err))
	require.ErrorContains(t, err, "shop_prod")
	require.False(t, asked, "a secret was resolved for a config that is refused")
	require.Empty(t, accepted)
}

// An extract reaches what the policy lets it read, over that connection's own login, and nothing else; a source that hangs is said.
func TestASourceIsOpenedAsThePolicySays(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	address, accepted := mute(t)
	resolver := secret.Resolver{Getenv: func(string) string { return db.URL }, ReadFile: os.ReadFile}
	policy := pipeline.Policy{Environment: "dev", Connections: map[string]pipeline.Connection{
		"warehouse": {URL: "${env:WAREHOUSE}"},
		"crm":       {URL: "${env:CRM}", Use: []pipeline.Use{pipeline.ForSource}, Schemas: pipeline.Schemas{Read: []string{db.Schema}}},
		"hung":      {URL: "postgres://u@" + address + "/d?sslmode=disable", Use: []pipeline.Use{pipeline.ForSource}},
	}}
	w := newWarehouses(2, resolver)
	t.Cleanup(w.close)
	db.Exec(t, "CREATE TABLE only_here AS SELECT 7 AS n")
	ask := func(sourceDB, from string) (n int, err error) {
		err = w.sources(policy, pipeline.Config{Environment: "dev", SourceDB: sourceDB})(t.Context(), from, "drawbridge/asks", func(s *postgres.Session) error {
			return s.QueryRow(t.Context(), "SELECT n FROM only_here WHERE current_setting('application_name') = 'drawbridge/asks'").Scan(&n)
		})
		return n, err
	}
	for _, c := range [][2]string{{"crm", "source_db"}, {"", "crm"}} {
		n, err := ask(c[0], c[1])
		require.NoError(t, err)
		require.Equal(t, 7, n)
	}
	for _, c := range [][2]string{{"warehouse", "source_db"}, {"crm", "warehouse"}, {"crm", "prod"}, {"postgres://u@" + address + "/other", "source_db"}} {
		_, err := ask(c[0], c[1])
		require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	}
	require.Empty(t, accepted)
	_, err := ask("hung", "source_db")
	away, ok := errors.AsType[*fault.Away](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "the source hung", away.Server)
	require.Empty(t, fault.ClassOf(err), "it may come back")
}

func TestLoginsArePutIntoTheirOwnURL(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{"PW": "p@ss/w:rd#", "AUTHOR": "a?b%", "URL": "postgres://u:x%40y@h:1/d"}
	resolver := secret.Resolver{Getenv: func(name string) string { return secrets[name] }, ReadFile: os.ReadFile}
	for _, c := range []struct {
		connection  pipeline.Connection
		own, author string
	}{
		{pipeline.Connection{URL: "${env:URL}"}, "postgres://u:x%40y@h:1/d", ""},
		{pipeline.Connection{URL: "postgres://u@h/d", Password: "${env:PW}"}, "postgres://u:p%40ss%2Fw%3Ard%23@h/d", ""},
		{pipeline.Connection{URL: "postgres://u:${env:PW}@h/d"}, "postgres://u:p%40ss%2Fw%3Ard%23@h/d", ""},
		{
			pipeline.Connection{URL: "${env:URL}", Author: &pipeline.Login{User: "author", Password: "${env:AUTHOR}"}, TLS: pipeline.TLS{Mode: "verify-full", Root: "/ca.pem"}},
			"postgres://u:x%40y@h:1/d?sslmode=verify-full&sslrootcert=%2Fca.pem", "postgres://author:a%3Fb%25@h:1/d?sslmode=verify-full&sslrootcert=%2Fca.pem",
		},
	} {
		got, err := resolve(resolver, c.connection)
		require.NoError(t, err)
		require.Equal(t, logins{own: c.own, author: c.author}, got)
	}
	secrets["URL"] = "host=h password=" + secrets["PW"]
	_, err := resolve(resolver, pipeline.Connection{URL: "${env:URL}", Author: &pipeline.Login{User: "author"}})
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	require.NotContains(t, err.Error(), secrets["PW"])
}
