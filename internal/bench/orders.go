package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/source"
)

// secondsPerDay is how far the orders of a day are spread.
const secondsPerDay = 24 * 60 * 60

// firstDay is the first partition of every table.
func firstDay() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }

func dayKey(day time.Time) partition.Key { return partition.Key(day.Format(time.DateOnly)) }

// order is how the rows of a file follow each other.
type order int

const (
	// unsorted is how exports of parallel systems come. COPY then finds the place of every row in the index.
	unsorted order = 104_729 // a prime: steps of it meet every key once
	// sorted by time and key is the easiest file for COPY into an indexed table: the index only grows at its end.
	sorted order = 1
)

// writeOrders writes n orders of a day as CSV. It is the same file on every machine.
func writeOrders(w io.Writer, day time.Time, n int, by order) error {
	buffered := bufio.NewWriterSize(w, 1<<20)
	if _, err := buffered.WriteString("order_id,ordered_at,channel,customer_id,amount,currency\n"); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	channels := [...]string{"web", "app", "store", "partner"}
	for row := range n {
		i := row * int(by) % n
		second := i * secondsPerDay / n
		cents := 100 + random.IntN(50_000)
		_, err := fmt.Fprintf(buffered, "%d,%s %02d:%02d:%02d+00,%s,%d,%d.%02d,EUR\n", i+1,
			day.Format(time.DateOnly), second/3600, second/60%60, second%60,
			channels[random.IntN(len(channels))], random.IntN(200_000), cents/100, cents%100)
		if err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// writeFile writes the orders of a day to dir, under the name that the pipeline loads.
func writeFile(dir string, day time.Time, n int, by order) (path string, err error) {
	path = filepath.Join(dir, "orders_"+day.Format(time.DateOnly)+".csv")
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	if err := writeOrders(file, day, n, by); err != nil {
		_ = file.Close()
		return "", err
	}
	return path, file.Close()
}

// opener gives a build whatever file it loads.
type opener func() (io.ReadCloser, error)

func (o opener) open(_ context.Context, load pipeline.Load, key partition.Key) ([]source.File, error) {
	return []source.File{{Name: load.Path(key), Open: o}}, nil
}

func fromFile(path string) opener {
	return func() (io.ReadCloser, error) { return os.Open(path) }
}

// generated is a file that is written while it is read.
func generated(day time.Time, n int) opener {
	return func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { _ = w.CloseWithError(writeOrders(w, day, n, sorted)) }() // ends when the reader closes its end
		return r, nil
	}
}
