package partition

import (
	"cmp"
	"errors"
	"math"
	"math/big"
	"strings"
	"time"
)

// point is where a partition begins: an integer, a place in a list, or a wall clock held in UTC so that arithmetic never meets a
// change of the clocks.
type point struct {
	number *big.Int
	place  int
	wall   time.Time
}

// integers is the grid of Range. Every bigint lies in a partition of it, so that the first and the last one reach beyond bigint.
type integers struct{ size int64 }

func (g integers) parse(k Key) (point, error) {
	n, ok := integer(string(k))
	if !ok {
		return point{}, errors.New("not an integer")
	}
	if new(big.Int).Rem(n, big.NewInt(g.size)).Sign() != 0 {
		return point{}, errors.New("not the lower bound of a partition")
	}
	if !g.holds(n) {
		return point{}, errors.New("it is beyond bigint")
	}
	return point{number: n}, nil
}

// holds says that some bigint lies in the partition that begins with n.
func (g integers) holds(n *big.Int) bool {
	last := new(big.Int).Add(n, big.NewInt(g.size-1))
	return n.Cmp(big.NewInt(math.MaxInt64)) <= 0 && last.Cmp(big.NewInt(math.MinInt64)) >= 0
}

func (g integers) key(p point) Key { return Key(p.number.String()) }

func (g integers) step(p point, n int) (point, error) {
	next := new(big.Int).Mul(big.NewInt(int64(n)), big.NewInt(g.size))
	if next.Add(next, p.number); !g.holds(next) {
		return point{}, errors.New("its neighbour is beyond bigint")
	}
	return point{number: next}, nil
}

func (g integers) bounds(p point) Bounds {
	return Bounds{Lower: p.number.String(), Upper: new(big.Int).Add(p.number, big.NewInt(g.size)).String()}
}

func (g integers) compare(a, b point) int { return a.number.Cmp(b.number) }

// integer reads the canonical spelling of an integer, and no other.
func integer(text string) (*big.Int, bool) {
	if len(text) > longestKey {
		return nil, false
	}
	n, ok := new(big.Int).SetString(text, 10)
	return n, ok && n.String() == text
}

// compareIntegers orders two integers in their canonical spelling.
func compareIntegers(a, b string) int {
	below, less := strings.HasPrefix(a, "-"), strings.HasPrefix(b, "-")
	switch {
	case below && less:
		a, b = b, a
	case below:
		return -1
	case less:
		return 1
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}
