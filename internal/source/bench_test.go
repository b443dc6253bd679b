package source_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/pipeline"
	"drawbridge/internal/source"
)

// BenchmarkRows is what strict reading costs, for a file of orders with typed columns.
func BenchmarkRows(b *testing.B) {
	var file bytes.Buffer
	file.WriteString("order_id,ordered_at,channel,customer_id,amount,currency\n")
	for i := range 100_000 {
		fmt.Fprintf(&file, "%d,2026-01-01 10:%02d:%02d+00,store,%d,%d.%02d,EUR\n", i, i/60%60, i%60, i%9999, i%500, i%100)
	}
	load := pipeline.Load{Columns: cols("order_id", "bigint", "ordered_at", "timestamptz", "customer_id", "bigint", "amount", "numeric(12,2)")}
	for name, binary := range map[string]bool{"text": false, "binary": true} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(file.Len()))
			for b.Loop() {
				rows, err := source.Read(bytes.NewReader(file.Bytes()), load, "in.csv", utc)
				require.NoError(b, err)
				if binary {
					rows.UseBinary()
				}
				_, err = io.Copy(io.Discard, rows)
				require.NoError(b, err)
				require.EqualValues(b, 100_000, rows.Records())
			}
		})
	}
}
