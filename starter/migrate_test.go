package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/release"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

func TestAMigrationIsMeantByItsNumberOrItsName(t *testing.T) {
	t.Parallel()
	s := subject{migrations: []string{"0001_channel", "0012_note", "0120_qty"}}
	for said, want := range map[string]string{
		"1": "0001_channel", "0001": "0001_channel", "channel": "0001_channel", "0001_channel": "0001_channel", "12": "0012_note", "012": "0012_note", "120": "0120_qty", "": "",
	} {
		name, err := s.migration(said)
		require.NoError(t, err, said)
		require.Equal(t, want, name, said)
	}
	for _, said := range []string{"2", "chan", "0001_note", "-1", "1_channel"} {
		_, err := s.migration(said)
		require.Equal(t, fault.Invalid, fault.ClassOf(err), said)
		require.Contains(t, fault.HintOf(err), "0001_channel, 0012_note, 0120_qty")
	}
}

func TestAPlanOfAMigrationSaysWhatToTypeNext(t *testing.T) {
	t.Parallel()
	p := migrate.Plan{Release: release.Release{Pipeline: "shop", Version: "1.2.0"}, Environment: "prod", Migration: migrate.Migration{Name: "0003_channel"}}
	m := workflows.MigrationStatus{}
	require.Equal(t, "\nNext: drawbridge migrate start shop@1.2.0 0003_channel --env prod --reason TEXT\n", nextOfPlan("shop@1.2.0", p, m))
	require.Empty(t, standing(m))

	m.Lacks = "prod wants a signed statement"
	require.Empty(t, nextOfPlan("shop@1.2.0", p, m), "it could not begin")
	require.Contains(t, standing(m), "prod wants a signed statement")

	m.Open = &migrate.Standing{
		Owner: effect.OwnerOf("migrate/shop/prod/0003_channel", "run"), Phase: migrate.DualWrite, By: "ann", Reason: "needed",
		Since: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	require.Equal(t, "\nNext: drawbridge status migrate/shop/prod/0003_channel\n", nextOfPlan("shop@1.2.0", p, m))
	require.Equal(t, "BEGUN     2026-03-01 12:00 UTC by ann: needed; it is in phase dual write, and goes by this plan\n", standing(m))
}

func TestAMigrationWithoutAPlanSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := workflows.Status{Header: conduct.Header{Stage: workflows.StageRefused, Sentence: "there is no table sale in shop", Hint: "name a table that is there"}}
	require.Equal(t, "there is no table sale in shop\n→ name a table that is there\n", unplanned(s))
	require.Equal(t, exitRefused, exitOf(s))
}

// switchedAt is when a migration was switched.
func switchedAt() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func TestANoticeIsWrittenForEachConsumerOrForOne(t *testing.T) {
	t.Parallel()
	p := migrate.Plan{
		Release: release.Release{Pipeline: "shop", Version: "1.2.0"}, Environment: "prod", Schema: "shop", Steps: []migrate.Step{{ID: "x-1", Phase: migrate.Contract}},
		Migration: migrate.Migration{
			Name: "0003_channel", Table: "sales", Why: "a better name", Operations: []migrate.Operation{{Kind: migrate.RenameColumn, Column: "chan", To: "channel"}},
			Consumers: []migrate.Consumer{{Name: "bi", Contact: "bi@example.com", MustAck: true}, {Name: "ops"}}, Deprecate: migrate.Deprecate{Window: 24 * time.Hour},
		},
		Old: []string{"chan"},
	}
	all, err := noticesOf(p, migrate.Standing{}, "", switchedAt())
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Empty(t, all[0].Ack, "before it has begun nobody can say that they are ready")
	require.Nil(t, all[0].Until)

	switched := switchedAt()
	at := migrate.Standing{
		Owner: effect.OwnerOf("migrate/shop/prod/0003_channel", "run"), Phase: migrate.Deprecating, Since: switched, PhaseSince: switched, By: "ann",
		Acks: []migrate.Ack{{Consumer: "ops", By: "olga", At: switched}},
	}
	one, err := noticesOf(p, at, "bi", switchedAt())
	require.NoError(t, err)
	require.Len(t, one, 1)
	require.Equal(t, switched.Add(24*time.Hour), *one[0].Until)
	require.Equal(t, "drawbridge migrate ack migrate/shop/prod/0003_channel --consumer bi --as NAME --reason TEXT", one[0].Ack)
	require.False(t, one[0].Ready)

	one, err = noticesOf(p, at, "ops", switchedAt())
	require.NoError(t, err)
	require.True(t, one[0].Ready)
	require.Empty(t, one[0].Ack)

	_, err = noticesOf(p, at, "finance", switchedAt())
	require.Equal(t, "choose one of bi, ops", fault.HintOf(err))
	p.Migration.Consumers = nil
	_, err = noticesOf(p, at, "", switchedAt())
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
}
