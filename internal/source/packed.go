package source

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"

	"drawbridge/internal/fault"
)

// packing is how the bytes of a file are packed; empty where they are as they are.
type packing string

const (
	gzipped packing = "gzip"
	zstded  packing = "zstd"
)

// The first bytes of packed files. None of them can begin a text.
const (
	gzipMagic = "\x1f\x8b"
	zstdMagic = "\x28\xb5\x2f\xfd"
	zipMagic  = "PK\x03\x04"
	xzMagic   = "\xfd7zX"
)

// A packed file that grows by more than mostUnpacked is refused once it has given freelyUnpacked bytes: a few kilobytes can be
// made to fill a server's disk, and no table grows like that.
const (
	mostUnpacked   = 1000
	freelyUnpacked = 1 << 30
)

// zstdWindow is how much of what was unpacked a file may refer back to, in bytes: as zstd itself allows unless it is told otherwise.
const zstdWindow = 128 << 20

// Unpack gives the bytes of a file as they were before it was packed with gzip or zstd, which its first bytes say; a file that is
// not packed is given as it is. Nothing of it is kept in memory but a window. What is wrong with it is a fault that names it.
// Close ends the unpacking and leaves the file open.
func Unpack(file io.Reader, name string) (io.ReadCloser, error) {
	packed := &sizedReader{source: file}
	r := bufio.NewReaderSize(packed, 64<<10)
	start, err := r.Peek(len(zstdMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	u := &unpacked{name: name, packed: packed}
	switch {
	case strings.HasPrefix(string(start), gzipMagic):
		u.how = gzipped
		unzip, err := gzip.NewReader(r)
		if err != nil {
			return nil, u.explain(err)
		}
		u.source, u.close = unzip, func() { _ = unzip.Close() }
	case strings.HasPrefix(string(start), zstdMagic):
		u.how = zstded
		unzip, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, u.explain(err)
		}
		u.source, u.close = unzip, unzip.Close
	case strings.HasPrefix(string(start), zipMagic) || strings.HasPrefix(string(start), xzMagic):
		return nil, fault.Newf(fault.Invalid, "load", name, "unpack it, or pack it with gzip or zstd", "it is a zip or xz file, which is not read")
	default:
		if called := calledPacked(name); called != "" && len(start) > 0 {
			return nil, fault.Newf(fault.Invalid, "load", name, "call it by what it is, or pack it", fmt.Sprintf("it is called as a %s file is, and is none", called))
		}
		return io.NopCloser(r), nil
	}
	return u, nil
}

// calledPacked is how a file is packed by its name.
func calledPacked(name string) packing {
	switch strings.ToLower(path.Ext(name)) {
	case ".gz", ".gzip":
		return gzipped
	case ".zst", ".zstd":
		return zstded
	}
	return ""
}

// unpacked reads a packed file.
type unpacked struct {
	name   string
	how    packing
	packed *sizedReader
	source io.Reader
	close  func()
	bytes  int64
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.source.Read(p)
	u.bytes += int64(n)
	if u.bytes > freelyUnpacked && u.bytes/mostUnpacked > u.packed.bytes {
		return 0, fault.Newf(fault.Invalid, "load", u.name, "is it what it should be? Then unpack it before it is loaded",
			fmt.Sprintf("it grows to more than %d times its size when it is unpacked", mostUnpacked))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, u.explain(err)
	}
	return n, err
}

func (u *unpacked) Close() error {
	u.close()
	return nil
}

// explain says what is wrong with a packed file; what failed below it is as it was.
func (u *unpacked) explain(err error) error {
	if u.packed.err != nil {
		return u.packed.err
	}
	hint, reason := "copy it anew from where it was made", fmt.Sprintf("its %s data is damaged", u.how)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		hint, reason = "is it still being copied? Write it under another name first, and rename it when it is complete", fmt.Sprintf("its %s data ends too soon", u.how)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		hint, reason = "pack it without --long or --ultra", "its zstd data refers back to more than 128 MiB"
	}
	return fault.Newf(fault.Invalid, "load", u.name, hint, reason)
}

// sizedReader counts what is read of a file, and keeps what failed.
type sizedReader struct {
	source io.Reader
	bytes  int64
	err    error // but for its end
}

func (r *sizedReader) Read(p []byte) (int, error) {
	n, err := r.source.Read(p)
	r.bytes += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}
