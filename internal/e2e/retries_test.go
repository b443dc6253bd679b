package e2e_test

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// attempt is the number that a screen shows of what is tried again; 0 where nothing is.
func attempt(screen string) int {
	m := regexp.MustCompile(`is tried again: attempt ([0-9]+)`).FindStringSubmatch(screen)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // the pattern has digits only
	return n
}

// While something is tried again, a person sees what, how often, and why it failed the last time.
func TestStatusShowsWhatIsTriedAgainAndWhy(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	h := w.newHold()
	h.exec(`CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
		  RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full';
		END $$`)
	h.exec(`CREATE TRIGGER full_disk BEFORE INSERT ON shop_dev__ledger.generation FOR EACH ROW EXECUTE FUNCTION public.full()`)
	id := workflows.RunID(shop, "dev", middleDay)
	w.cli(0, "run", "shop@1.0.0", "--env", "dev", "--partition", middleDay, "--detach")
	var shown answer
	w.await("a second attempt", func() bool {
		shown = w.try("status", id)
		return attempt(shown.out) > 0
	})
	require.Contains(t, shown.out, "53100", "the last error")
	followed := w.tryUntil(func() {
		w.await("who follows to see a later attempt", func() bool { return attempt(w.try("status", id).out) > attempt(shown.out)+1 })
		h.exec(`DROP TRIGGER full_disk ON shop_dev__ledger.generation`)
		w.await("the run to end", func() bool { return w.status(id).Stage == workflows.StageDone })
	}, "status", id, "--watch")
	require.NotZero(t, attempt(followed.out), "who follows sees it too")
	require.Zero(t, attempt(w.try("status", id).out), "it went on")
	w.holds("dev", four)
}
