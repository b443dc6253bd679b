package source_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/source"
)

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func zstded(t *testing.T, text string, options ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, options...)
	require.NoError(t, err)
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestPackedFilesAreReadAsTheyWereBefore(t *testing.T) {
	t.Parallel()
	text := "id,day\n" + strings.Repeat("1,2026-01-31\n", 50_000)
	for name, packed := range map[string][]byte{
		"o.csv":     []byte(text),
		"o.csv.gz":  gzipped(t, text),
		"o.CSV.GZ":  gzipped(t, text),
		"o.gzipped": gzipped(t, text), // its first bytes say it
		"two.gz":    append(gzipped(t, text[:70]), gzipped(t, text[70:])...),
		"o.csv.zst": zstded(t, text),
		"o.zstd":    zstded(t, text, zstd.WithEncoderLevel(zstd.SpeedBestCompression)),
		"two.zst":   append(zstded(t, text[:70]), zstded(t, text[70:])...),
	} {
		r, err := source.Unpack(iotest.HalfReader(bytes.NewReader(packed)), name)
		require.NoError(t, err, name)
		got, err := io.ReadAll(r)
		require.NoError(t, err, name)
		require.NoError(t, r.Close())
		require.Equal(t, text, string(got), name)
	}
	r, err := source.Unpack(strings.NewReader(""), "empty.csv.gz")
	require.NoError(t, err, "what is wrong with an empty file is that it has no header")
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestWhatIsWrongWithAPackedFileIsSaid(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 50_000 {
		text.WriteString(strings.Repeat(string(rune('a'+i%26)), i%7) + secret + "\n")
	}
	gz, zst := gzipped(t, text.String()), zstded(t, text.String())
	damaged := func(packed []byte) []byte {
		out := bytes.Clone(packed)
		for i := len(out) / 2; i < len(out)/2+9; i++ {
			out[i] ^= 0x5a
		}
		return out
	}
	for name, c := range map[string]struct {
		packed []byte
		says   string
	}{
		"half.csv.gz":     {gz[:len(gz)/2], "gzip data ends too soon"},
		"head.csv.gz":     {gz[:5], "gzip data ends too soon"},
		"sum.csv.gz":      {gz[:len(gz)-3], "gzip data ends too soon"},
		"damaged.csv.gz":  {damaged(gz), "gzip data"},
		"more.csv.gz":     {append(bytes.Clone(gz), "more"...), "gzip data"},
		"half.csv.zst":    {zst[:len(zst)/2], "zstd data ends too soon"},
		"damaged.csv.zst": {damaged(zst), "zstd data"},
		"text.csv.gz":     {[]byte("id,day\n"), "is called as a gzip file is, and is none"},
		"text.csv.zst":    {gzipped(t, "id\n")[:1], "is called as a zstd file is, and is none"},
		"o.zip":           {[]byte("PK\x03\x04...."), "zip or xz"},
	} {
		r, err := source.Unpack(bytes.NewReader(c.packed), name)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			require.NoError(t, r.Close())
		}
		require.Equal(t, fault.Invalid, fault.ClassOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, c.says)
		require.NotContains(t, err.Error(), secret)
	}
}

// zeros gives as many zeros as one likes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestAFileThatGrowsWithoutEndIsRefused(t *testing.T) {
	t.Parallel()
	packed, into := io.Pipe()
	go func() {
		w, err := zstd.NewWriter(into)
		if err == nil {
			_, err = io.Copy(w, io.LimitReader(zeros{}, 3<<30))
			err = errors.Join(err, w.Close())
		}
		_ = into.CloseWithError(err)
	}()
	r, err := source.Unpack(packed, "bomb.csv.zst")
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, r)
	require.ErrorContains(t, err, "bomb.csv.zst: it grows to more than 1000 times its size")
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	require.Less(t, n, int64(2<<30))
	require.NoError(t, r.Close())
	require.NoError(t, packed.Close())
}

// What fails below is no fault of the file's: it is tried again.
func TestAReadThatFailsIsNotADamagedFile(t *testing.T) {
	t.Parallel()
	lost := errors.New("connection lost")
	packed := gzipped(t, strings.Repeat("id\n", 1000))
	r, err := source.Unpack(io.MultiReader(bytes.NewReader(packed[:len(packed)/2]), iotest.ErrReader(lost)), "o.csv.gz")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, r)
	require.ErrorIs(t, err, lost)
	require.Empty(t, fault.ClassOf(err))
}

func TestTheHeaderOfAPackedFileIsRead(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, filepath.Join(root, "shop/o_2026-01-31.csv.gz"), string(gzipped(t, "id,day\n")))
	heads, err := source.Below(root).Headers(config("shop"), orders(pipeline.Load{Name: "raw", File: "o_@partition.csv.gz"}))
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"raw": {"id", "day"}}, heads)
}
