package charset_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/charset"
)

func TestAnEncodingHasItsNamesOfPostgresAndTheWeb(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ names, bytes, text string }{
		{"", "Zürich", "Zürich"},
		{"UTF8", "Zürich", "Zürich"},
		{"LATIN1", "Z\xfcrich", "Zürich"},
		{"LATIN9", "3 \xa4", "3 €"},
		{"WIN1252", "3 \x80", "3 €"},
		{"KOI8R", "\xf4", "Т"},
		{"SJIS", "\x93\xfa", "日"},
	} {
		enc, ok := charset.Find(c.names)
		require.True(t, ok, c.names)
		if enc == nil {
			require.Equal(t, c.bytes, c.text)
			continue
		}
		text, err := enc.NewDecoder().String(c.bytes)
		require.NoError(t, err)
		require.Equal(t, c.text, text, c.names)
	}
	for _, group := range [][]string{
		{"LATIN1", "latin1", "ISO-8859-1", "iso_8859-1"}, {"WIN1252", "windows-1252", "CP1252"}, {"UTF8", "utf-8", "UTF_8"}, {"SJIS", "Shift_JIS"},
	} {
		first, ok := charset.Find(group[0])
		require.True(t, ok)
		for _, other := range group[1:] {
			same, ok := charset.Find(other)
			require.True(t, ok, other)
			require.Equal(t, first, same, other)
		}
	}
}

func TestWhatIsNoEncodingOfLinesIsNotFound(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"UTF16", "UTF-16LE", "ucs-2", "UTF-32", "LATIN99", "nonsense", "SQL_ASCII"} {
		_, ok := charset.Find(name)
		require.False(t, ok, name)
	}
	require.True(t, charset.Wide("UTF-16"))
	for _, name := range charset.Names() {
		_, ok := charset.Find(name)
		require.True(t, ok, name)
	}
}
