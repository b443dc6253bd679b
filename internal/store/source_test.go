package store_test

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/store"
)

func archive(tb testing.TB, headers ...tar.Header) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		h.Mode = 0o644
		require.NoError(tb, w.WriteHeader(&h))
		_, err := w.Write(make([]byte, h.Size))
		require.NoError(tb, err)
	}
	require.NoError(tb, w.Close())
	return out.Bytes()
}

func hostile(tb testing.TB) map[string][]byte {
	tb.Helper()
	file := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 3} }
	good := archive(tb, file("a.sql"), file("b/c.sql"))
	return map[string][]byte{
		"parent folder":       archive(tb, file("../a.sql")),
		"parent folder below": archive(tb, file("a/../../b.sql")),
		"absolute path":       archive(tb, file("/etc/passwd")),
		"unclean path":        archive(tb, file("a//b.sql")),
		"backslashes":         archive(tb, file(`..\a.sql`)),
		"drive":               archive(tb, file("C:/a.sql")),
		"control character":   archive(tb, file("a\x01.sql")),
		"no UTF-8":            archive(tb, tar.Header{Typeflag: tar.TypeReg, Name: "a\xff.sql", Format: tar.FormatGNU}),
		"current folder":      archive(tb, file(".")),
		"symbolic link":       archive(tb, tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc/passwd"}),
		"hard link":           archive(tb, tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "b"}),
		"folder":              archive(tb, tar.Header{Typeflag: tar.TypeDir, Name: "a/"}),
		"device":              archive(tb, tar.Header{Typeflag: tar.TypeChar, Name: "a"}),
		"same path twice":     archive(tb, file("a.sql"), file("a.sql")),
		"file below a file":   archive(tb, file("a"), file("a/b/c")),
		"file over a folder":  archive(tb, file("a/b/c"), file("a/b")),
		"cut off":             good[:514],
		"no tar":              []byte(strings.Repeat("drawbridge", 100)),
		"sparse":              sparse(tb),
	}
}

// sparse is a small archive of a file that claims a tebibyte of holes.
func sparse(tb testing.TB) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	body := "0\n"
	body += strings.Repeat("\x00", 512-len(body))
	require.NoError(tb, w.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: "a.sql", Size: int64(len(body)), Format: tar.FormatPAX,
		PAXRecords: map[string]string{"XXX.sparse.major": "1", "XXX.sparse.minor": "0", "XXX.sparse.realsize": "1099511627776"},
	}))
	_, err := w.Write([]byte(body))
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	// The library writes no sparse files, so the keys are put in afterwards.
	return bytes.ReplaceAll(out.Bytes(), []byte("XXX.sparse"), []byte("GNU.sparse"))
}

func TestUnpackRefusesHostileArchives(t *testing.T) {
	t.Parallel()
	for name, data := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := store.Unpack(data)
			requireFault(t, err, fault.Invalid)
			require.Nil(t, files)
		})
	}
}

func FuzzUnpack(f *testing.F) {
	good, err := store.Source(tree())
	require.NoError(f, err)
	f.Add(good)
	for _, data := range hostile(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := store.Unpack(data)
		if err != nil {
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			return
		}
		var total int
		for name, content := range files {
			require.True(t, fs.ValidPath(name), "%q", name)
			total += len(content)
		}
		require.LessOrEqual(t, total, len(data))
		again, err := store.Source(files)
		require.NoError(t, err)
		unpacked, err := store.Unpack(again)
		require.NoError(t, err)
		require.Equal(t, files.Paths(), unpacked.Paths())
	})
}
