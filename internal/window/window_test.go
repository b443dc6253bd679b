package window_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/fault"
	"drawbridge/internal/window"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse("2006-01-02 15:04 -0700", text)
	require.NoError(t, err)
	return moment
}

func TestAWindowIsOpenOnItsDaysBetweenItsTimes(t *testing.T) {
	t.Parallel()
	night := []string{window.Example} // 1 January 2026 is a Thursday
	for name, c := range map[string]struct {
		windows []string
		now     string
		opens   string // empty: it is open
	}{
		"none closes nothing":                       {nil, "2026-01-01 12:00 +0000", ""},
		"when it begins":                            {night, "2026-01-01 22:00 +0100", ""},
		"before it begins":                          {night, "2026-01-01 21:59 +0100", "2026-01-01 22:00 +0100"},
		"after midnight":                            {night, "2026-01-02 05:59 +0100", ""},
		"when it ends":                              {night, "2026-01-02 06:00 +0100", "2026-01-02 22:00 +0100"},
		"the night that began on its last day":      {night, "2026-01-03 05:00 +0100", ""},
		"a night that begins on none of its days":   {night, "2026-01-03 23:00 +0100", "2026-01-05 22:00 +0100"},
		"by its own clock":                          {night, "2026-01-01 20:30 +0000", "2026-01-01 21:00 +0000"},
		"in summer":                                 {night, "2026-07-01 20:00 +0000", ""},
		"every day, in UTC":                         {[]string{"08:00-09:00"}, "2026-01-03 08:30 +0000", ""},
		"any of many":                               {[]string{"08:00-09:00", "sat,sun 00:00-24:00"}, "2026-01-04 23:59 +0000", ""},
		"the next of many":                          {[]string{"mon 08:00-09:00", "fri 10:00-11:00"}, "2026-01-01 00:00 +0000", "2026-01-02 10:00 +0000"},
		"days that go over the end of the week":     {[]string{"sat-mon 10:00-11:00"}, "2026-01-04 10:30 +0000", ""},
		"its only day is today, and it has ended":   {[]string{"thu 10:00-11:00"}, "2026-01-01 12:00 +0000", "2026-01-08 10:00 +0000"},
		"a night in which the clock is put forward": {[]string{"22:00-06:00 Europe/Berlin"}, "2026-03-29 03:59 +0000", ""},
		"which is an hour shorter":                  {[]string{"22:00-06:00 Europe/Berlin"}, "2026-03-29 04:00 +0000", "2026-03-29 20:00 +0000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, err := window.ParseAll(c.windows)
			require.NoError(t, err)
			open, next, err := window.Opens(all, at(t, c.now))
			require.NoError(t, err)
			require.Equal(t, c.opens == "", open)
			if c.opens != "" {
				require.True(t, next.Equal(at(t, c.opens)), next)
				why, until := window.Why("the window", all, at(t, c.now))
				require.Contains(t, why, "the window is closed")
				require.Equal(t, next, until)
			}
		})
	}
}

func TestWhatIsNoWindowIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "always", "mon-fri", "22:00", "22:00-22:00", "24:00-06:00", "22:00-25:00", "mon-xyz 22:00-06:00", "fri 22:00-06:00 Europe/Berlin more", "22-06",
	} {
		_, err := window.Parse(text)
		require.Equal(t, fault.Invalid, fault.ClassOf(err), text)
	}
	w, err := window.Parse("22:00-06:00 Mars/Base")
	require.NoError(t, err)
	_, _, err = window.Opens([]window.Window{w}, at(t, "2026-01-01 00:00 +0000"))
	require.ErrorContains(t, err, "Mars/Base is not known")
	why, _ := window.Why("its window", []window.Window{w}, at(t, "2026-01-01 00:00 +0000"))
	require.Contains(t, why, "cannot be told", "what cannot be told stops")
}

func TestTheLongestWindowIsThatWithoutABreak(t *testing.T) {
	t.Parallel()
	for want, windows := range map[time.Duration][]string{
		8 * time.Hour:  {"mon-fri 22:00-06:00", "12:00-13:00"},
		48 * time.Hour: {"sat,sun 00:00-24:00"},
		58 * time.Hour: {"fri 20:00-24:00", "sat,sun 00:00-24:00", "mon 00:00-06:00"},
		0:              {"00:00-24:00"},
	} {
		all, err := window.ParseAll(windows)
		require.NoError(t, err)
		require.Equal(t, want, window.Longest(all), windows)
	}
}

// Whenever it says that it opens, it is open then, and was not a minute before.
func TestItOpensWhenItSays(t *testing.T) {
	t.Parallel()
	all, err := window.ParseAll([]string{window.Example, "sat 10:15-11:45 America/New_York", "sun 23:00-01:00"})
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(rapid.Int64Range(1_750_000_000, 1_790_000_000).Draw(t, "now"), 0)
		open, next, err := window.Opens(all, now)
		if err != nil || open {
			return
		}
		then, _, _ := window.Opens(all, next)
		before, _, _ := window.Opens(all, next.Add(-time.Second))
		if !then || before || !next.After(now) {
			t.Fatalf("at %s it says %s", now, next)
		}
	})
}
