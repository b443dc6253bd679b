package migrate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/migrate"
)

func TestAStatementNamesAColumnOfATable(t *testing.T) {
	t.Parallel()
	const (
		no = iota
		perhaps
		surely
	)
	for sql, want := range map[string]int{
		`SELECT chan FROM sales WHERE id = $1`:                               surely,
		`SELECT s.chan FROM shop.sales AS s JOIN stores o ON o.id = s.store`: surely,
		`SELECT "chan" FROM "sales"`:                                         surely,
		`select CHAN from Sales`:                                             surely,
		`SELECT sales.chan FROM sales, stores`:                               surely,
		`INSERT INTO sales (id, chan) VALUES ($1, $2)`:                       surely,
		`UPDATE sales SET chan = $1 WHERE id = $2`:                           surely,
		`DELETE FROM ONLY sales WHERE chan = $1`:                             surely,
		`COPY sales (id, chan) FROM STDIN`:                                   surely,
		`WITH s AS (SELECT chan FROM sales) SELECT count(*) FROM s`:          perhaps,
		`(SELECT chan FROM sales) UNION ALL (SELECT x FROM y)`:               perhaps,
		`INSERT INTO copy_of (chan) SELECT channel FROM sales`:               perhaps,
		`SELECT chan FROM sales, stores`:                                     perhaps,
		`SELECT chan FROM sales s JOIN stores o ON o.id = s.store`:           perhaps,
		`SELECT channel AS chan FROM sales ORDER BY chan`:                    perhaps,
		`SELECT chan FROM sales WHERE note = 'it is cut`:                     perhaps,
		`SELECT channel AS chan FROM sales`:                                  no,
		`SELECT channel FROM sales`:                                          no,
		`SELECT * FROM sales`:                                                no,
		`SELECT chan FROM stores`:                                            no,
		`SELECT chan FROM archive.sales`:                                     no,
		`SELECT o.chan FROM sales s JOIN stores o ON o.id = s.store`:         no,
		`SELECT chan(id) FROM sales`:                                         no,
		`SELECT 'chan' FROM sales -- chan`:                                   no,
		`SELECT sales, chan FROM stores`:                                     no,
		`ALTER TABLE sales DROP COLUMN chan`:                                 no,
		`SELECT "CHAN" FROM sales`:                                           no,
		`<insufficient privilege>`:                                           no,
		``:                                                                   no,
		`DECLARE c CURSOR FOR SELECT chan FROM sales`:                        surely,
		`MERGE INTO sales USING new n ON n.id = sales.id WHEN MATCHED THEN UPDATE SET chan = n.chan`: perhaps,
	} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			got := migrate.Mentions(sql, "shop", "sales", []string{"chan", "gone"})
			if want == no {
				require.Empty(t, got)
				return
			}
			require.Equal(t, []migrate.Mention{{Column: "chan", Guessed: want == perhaps}}, got)
		})
	}
}
