package partition

import (
	"cmp"
	"errors"
	"math"
	"strconv"
	"time"
)

// point is where a partition begins: an integer, or a wall clock held in UTC so that arithmetic never meets a
// change of the clocks.
type point struct {
	number int64
	wall   time.Time
}

// integers is the grid of Range.
type integers struct{ size int64 }

func (g integers) parse(k Key) (point, error) {
	n, err := strconv.ParseInt(string(k), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(k) {
		return point{}, errors.New("not an integer")
	}
	if n%g.size != 0 {
		return point{}, errors.New("not the lower bound of a partition")
	}
	if n > math.MaxInt64-g.size {
		return point{}, errors.New("its upper bound is beyond bigint")
	}
	return point{number: n}, nil
}

func (g integers) key(p point) Key { return Key(strconv.FormatInt(p.number, 10)) }

func (g integers) step(p point, n int) (point, error) {
	// A valid point leaves room for one step up; below, the sum may wrap around.
	next := p.number + int64(n)*g.size
	if n < 0 && next > p.number || next > math.MaxInt64-g.size {
		return point{}, errors.New("its neighbour is beyond bigint")
	}
	return point{number: next}, nil
}

func (g integers) bounds(p point) Bounds {
	return Bounds{
		Lower: strconv.FormatInt(p.number, 10),
		Upper: strconv.FormatInt(p.number+g.size, 10),
	}
}

func (g integers) compare(a, b point) int { return cmp.Compare(a.number, b.number) }
