package source

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/bits"

	"drawbridge/internal/pipeline"
)

// copyBuffer is how much of what COPY gives is handed on at once.
const copyBuffer = 64 << 10

// copiedRows hands on what COPY gives, and sums up the rows in a way that does not depend on their order: a SELECT without ORDER BY may give
// the same rows in another one.
type copiedRows struct {
	to   *bufio.Writer
	err  error // of the writer
	sum  [4]uint64
	rows int64
}

func newCopiedRows(to io.Writer) *copiedRows {
	return &copiedRows{to: bufio.NewWriterSize(to, copyBuffer)}
}

// The parts of binary COPY that are no rows: what it begins with, before 4 bytes of flags and 4 that say how long more of a header is;
// and its end.
const (
	binaryBegin = "PGCOPY\n\xff\r\n\x00"
	binaryEnd   = "\xff\xff"
)

// Write takes one message of the server: a row, behind the header where it is the first.
func (r *copiedRows) Write(message []byte) (int, error) {
	row := message
	if r.rows == 0 && bytes.HasPrefix(row, []byte(binaryBegin)) && len(row) >= len(binaryBegin)+8 {
		row = row[len(binaryBegin)+4:]
		more := int64(binary.BigEndian.Uint32(row))
		row = row[min(int64(len(row)), 4+more):]
	}
	if len(row) > 0 && string(row) != binaryEnd {
		r.add(sha256.Sum256(row))
	}
	n, err := r.to.Write(message)
	if err != nil {
		r.err = err
	}
	return n, err
}

// add adds a number of 256 bits.
func (r *copiedRows) add(row [sha256.Size]byte) {
	r.rows++
	var carry uint64
	for i := range r.sum {
		r.sum[i], carry = bits.Add64(r.sum[i], binary.LittleEndian.Uint64(row[8*i:]), carry)
	}
}

// digest names the rows and the columns that they have.
func (r *copiedRows) digest(format string, columns []pipeline.Column) string {
	all := sha256.New()
	fmt.Fprintf(all, "%s %d %x\n", format, r.rows, r.sum)
	for _, c := range columns {
		fmt.Fprintf(all, "%q %s\n", c.Name, c.Type)
	}
	return hex.EncodeToString(all.Sum(nil))
}
