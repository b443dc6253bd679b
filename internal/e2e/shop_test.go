package e2e_test

import (
	"fmt"
	"os"
	"strings"

	"github.com/stretchr/testify/require"
)

// The pipeline of the tests: two outputs, five days of fifty orders.
const (
	shop          = "shop"
	ordersPerDay  = 50
	newestDay     = "2026-01-05"
	middleDay     = "2026-01-03" // is built in the steps after the canary
	ordersColumns = "order_id,ordered_on,channel,amount,currency"
)

// fiveDays is what most tests need: a canary, and more than one partition in the step after it.
func fiveDays() []string {
	return []string{"2026-01-01", "2026-01-02", middleDay, "2026-01-04", newestDay}
}

// release builds a release of the pipeline, with pieces of its text replaced, and returns the folder's path.
func (w *world) release(version string, replace ...string) string {
	w.t.Helper()
	folder := w.folder(version, replace...)
	w.cli(0, "build", folder)
	return folder
}

// folder is the folder of a release that nobody has built.
func (w *world) folder(version string, replace ...string) string {
	w.t.Helper()
	folder := "shop-" + version
	change := strings.NewReplacer(replace...)
	files := map[string]string{
		"pipeline.yaml": `name: shop
version: ` + version + `
owner: shop-data
description: Orders and channels of a shop.
environments: [dev, staging, prod]
partition: {by: day, column: ordered_on}
steps:
  - load:
      name: raw_orders
      file: data/orders_@partition.csv
      columns: {order_id: bigint, ordered_on: date, channel: text, amount: "numeric(12,2)", currency: text}
  - load:
      name: raw_channels
      file: data/channels.csv
      columns: {channel: text, title: text}
outputs:
  - table: orders
    sql: sql/orders.sql
    key: [order_id]
    indexes: [[channel]]
    checks:
      - row_count: {min: 1, max: 1000}
      - not_null: [order_id, channel, amount]
      - unique: [order_id]
      - metric: {name: revenue, sql: sum(amount), min: 0}
  - table: channels
    partition: all
    sql: sql/channels.sql
    key: [channel]
    checks:
      - row_count: {min: 1}
      - unique: [channel]
canary: {partitions: latest 1, expect: {rows: 1%, removed_keys: 0}}
watch:
  for: 1s
  every: 1s
  on_breach: rollback
  checks:
    - metric: {name: total, sql: SELECT sum(amount) FROM orders, vs_history: 25%}
`,
		"sql/orders.sql":   "SELECT order_id, ordered_on, channel, amount\nFROM raw_orders\n",
		"sql/channels.sql": "SELECT channel, title\nFROM raw_channels\n",
	}
	for env, schema := range map[string]string{"dev": "shop_dev", "staging": "shop_staging", "prod": "shop"} {
		watch := "watch: {for: 0s}\n"
		if env == "prod" {
			watch = ""
		}
		files["config."+env+".yaml"] = "warehouse: warehouse\nwarehouse_schema: " + schema +
			"\nwrite_mode: replace\nsource_files: .\n" + watch
	}
	for name, body := range files {
		w.write(folder+"/"+name, change.Replace(body))
	}
	return folder
}

// withCurrency is a release that adds a column.
func (w *world) withCurrency(version string) string {
	w.t.Helper()
	return w.release(version, "channel, amount\n", "channel, amount, currency\n")
}

func schemaOf(env string) string {
	if env == "prod" {
		return shop
	}
	return shop + "_" + env
}

// sources writes the files that the workers load.
func (w *world) sources(days []string) {
	w.t.Helper()
	w.days = days
	w.write("source/data/channels.csv", "channel,title\nweb,Web shop\napp,App\nstore,Store\n")
	for _, day := range w.days {
		w.write(sourceOf(day), csv(day, ordersPerDay))
	}
}

func sourceOf(day string) string { return "source/data/orders_" + day + ".csv" }

// order is one order of a day as it is in the file: both sides of a comparison are made of it, in ways of their own.
func order(day string, n int) (id int, channel string, cents int, currency string) {
	var d int
	if _, err := fmt.Sscanf(day, "2026-01-%d", &d); err != nil {
		panic("no day of the tests: " + day)
	}
	return d*1000 + n, []string{"web", "app", "store"}[n%3], 100*d + 25*n, []string{"EUR", "USD"}[n%2]
}

// csv is a day's file with so many orders.
func csv(day string, orders int) string {
	var b strings.Builder
	b.WriteString(ordersColumns + "\n")
	for n := range orders {
		id, channel, cents, currency := order(day, n)
		fmt.Fprintf(&b, "%d,%s,%s,%d.%02d,%s\n", id, day, channel, cents/100, cents%100, currency)
	}
	return b.String()
}

// columns says what a published table has beside the four columns of the first release.
type columns int

const (
	four       columns = iota // as the first release makes it
	fiveEmpty                 // the fifth is there, and no row has a value: a newer release was turned back
	fiveFilled                // as a release with a currency makes it
)

// orders are the rows that a published table must have, in the order of their keys.
func (w *world) orders(shape columns) []string {
	var rows []string
	for _, day := range w.days {
		for n := range ordersPerDay {
			id, channel, cents, currency := order(day, n)
			row := fmt.Sprintf("(%d,%s,%s,%d.%02d", id, day, channel, cents/100, cents%100)
			switch shape {
			case four:
			case fiveEmpty:
				row += ","
			case fiveFilled:
				row += "," + currency
			}
			rows = append(rows, row+")")
		}
	}
	return rows
}

// holds asserts that an environment's orders are, row for row, what they must be.
func (w *world) holds(env string, shape columns) {
	w.t.Helper()
	require.Equal(w.t, w.orders(shape), w.rows(env), "orders in %s", env)
}

// remove takes a source file away.
func (w *world) remove(name string) {
	w.t.Helper()
	require.NoError(w.t, os.Remove(w.path(name)))
}
