// Command generate writes the source files of examples/shop: the orders of January 2026, one CSV file a day, and the
// channels. It is deterministic: the same files on every machine.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

func main() {
	out := flag.String("out", "data", "folder to write to")
	flag.Parse()
	if err := generate(*out); err != nil {
		fmt.Fprintf(os.Stderr, "generate: %s\n", err)
		os.Exit(1)
	}
}

// seed makes one sequence of orders out of all that there could be.
const seed = 2026

// days is the length of the month that is written.
const days = 31

const channels = `channel,title,commission
web,Web shop,0
app,App,0.0150
store,Stores,0
partner,Partners,0.1500
`

// generate writes every file of the shop into dir.
func generate(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "channels.csv"), []byte(channels), 0o644); err != nil {
		return err
	}
	g := generator{random: rand.New(rand.NewPCG(seed, seed)), nextOrder: 1_000_000}
	for n := range days {
		day := time.Date(2026, time.January, 1+n, 0, 0, 0, 0, time.UTC)
		if err := g.writeDay(filepath.Join(dir, "orders_"+day.Format(time.DateOnly)+".csv"), day); err != nil {
			return err
		}
	}
	return nil
}

type generator struct {
	random    *rand.Rand
	nextOrder int
}

// writeDay writes the orders of one day in the order in which they were placed.
func (g *generator) writeDay(path string, day time.Time) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "order_id,ordered_at,channel,customer_id,amount,currency")
	orders := 1_900 + g.random.IntN(201)
	between := 24 * time.Hour / time.Duration(orders)
	for i := range orders {
		at := day.Add(time.Duration(i)*between + time.Duration(g.random.Int64N(int64(between)))).Truncate(time.Second)
		fmt.Fprintf(w, "%d,%s,%s,%s,%s,%s\n", g.nextOrder, at.Format(time.RFC3339), g.channel(), g.customer(), g.amount(), g.currency())
		g.nextOrder++
	}
	return w.Flush()
}

func (g *generator) channel() string {
	switch n := g.random.IntN(100); {
	case n < 50:
		return "web"
	case n < 75:
		return "app"
	case n < 90:
		return "store"
	default:
		return "partner"
	}
}

// customer is empty for a guest.
func (g *generator) customer() string {
	if g.random.IntN(100) < 8 {
		return ""
	}
	return fmt.Sprint(1 + g.random.IntN(5_000))
}

// amount is mostly small: 5.00 to 205.00.
func (g *generator) amount() string {
	cents := 500 + g.random.IntN(4_000)
	if g.random.IntN(2) == 0 {
		cents += g.random.IntN(16_000)
	}
	return fmt.Sprintf("%d.%02d", cents/100, cents%100)
}

func (g *generator) currency() string {
	return []string{"eur", "eur", "eur", "gbp", "usd"}[g.random.IntN(5)]
}
