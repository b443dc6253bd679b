package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/migrate"
	"drawbridge/internal/notice"
)

// A consumer hears of a migration of a table that it reads, from its beginning to its end, and the command writes what it was told.
func TestAConsumerIsToldOfAMigrationAndSaysThatItIsReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.listens("dev", "approval: {required: false}\n")
	w.worker("worker", "--env", "dev", "--workflows")
	w.seen("dev")
	release := w.sales(strings.Replace(renamedChannel, "window: 1s", "window: 1h", 1))
	planned := w.cli(0, "migrate", "notice", release, "0001", "--env", "dev").out
	require.Contains(t, planned, "chan is called channel")
	require.NotContains(t, planned, "migrate ack", "it has not begun")

	id := migratedID()
	w.cli(0, "migrate", "start", release, "0001", "--env", "dev", "--reason", "a better name", "--detach")
	w.await("bi to be asked", func() bool { return slices.Contains(dev.told(), string(notice.ConsumerAsked)) })
	require.Contains(t, dev.told(), string(notice.ConsumerInformed))
	asked, _ := dev.event(notice.ConsumerAsked)
	require.Equal(t, "bi", asked.Consumer)
	require.Contains(t, asked.Commands, migrate.AckCommand(id, "bi"))
	written := w.cli(0, "migrate", "notice", id, "--consumer", "bi").out
	require.Contains(t, written, strings.TrimSpace(asked.Notice), "the command writes what was sent")
	require.NotZero(t, w.try("migrate", "notice", id, "--consumer", "marketing").code)

	require.Contains(t, w.cli(0, "migrate", "ack", id, "--consumer", "bi", "--as", "bob").out, "bi is ready")
	w.await("its word to be told", func() bool { return slices.Contains(dev.told(), string(notice.ConsumerReady)) })
	require.NotZero(t, w.try("migrate", "ack", id, "--consumer", "bi", "--as", "bob", "--withdraw").code, "a reason is wanted")
	require.Contains(t, w.cli(0, "migrate", "ack", id, "--consumer", "bi", "--as", "bob", "--withdraw", "--reason", "the nightly job").out, "not ready after all")
	w.await("bi to be waited for again", func() bool { return len(w.status(id).Migration.Acks) == 0 })

	w.cli(3, "migrate", "rollback", id, "--reason", "not after all")
	w.await("its end to be told", func() bool {
		e, _ := dev.event(notice.ConsumerInformed)
		return strings.Contains(e.Notice, "It was undone")
	})
}
