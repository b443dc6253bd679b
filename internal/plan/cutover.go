package plan

import (
	"fmt"
	"time"

	"drawbridge/internal/cutover"
	"drawbridge/internal/generation"
)

// Cutover is how what was built becomes visible when all of it is. A plan without one publishes each slice as it is built.
type Cutover struct {
	// Slices is how many slices each transaction publishes, in their order.
	Slices []int `json:"slices,omitempty"`
	// Asks says that it is more than the environment lets through unasked: readers would see a part of it, or wait too long.
	Asks bool `json:"asks,omitempty"`
}

// Part are the slices of one transaction: the first, and the one after the last.
func (c Cutover) Part(part int) (first, end int) {
	for _, n := range c.Slices[:part] {
		first += n
	}
	return first, first + c.Slices[part]
}

// cutover cuts the work into as few transactions as readers bear. Nobody is asked where nothing is active: what is not there
// yet is mixed with nothing.
func (c crossing) cutover(w work) (Cutover, cutover.Cut) {
	if c.policy.Publish.Cutover != cutover.One || len(w.slices) == 0 {
		return Cutover{}, cutover.Cut{}
	}
	tables := map[string]cutover.Table{}
	for _, o := range c.pipeline.Outputs {
		found, _ := c.observed.output(o.Table)
		tables[o.Table] = cutover.NewTable(o.Partition, o.IndexCount(), found.Keys())
	}
	live := c.live()
	units := make([]cutover.Unit, len(w.slices))
	for i, s := range w.slices {
		for _, item := range s.Items {
			units[i] = append(units[i], cutover.Move{Output: item.Output, Partition: item.Partition, Was: live[item], Is: true})
		}
	}
	cut := cutover.Into(tables, units, c.bounds())
	return Cutover{Slices: cut.Units, Asks: !cut.Fits && c.observed.Active != nil}, cut
}

func (c crossing) bounds() cutover.Bounds {
	return c.observed.Bounds(c.policy.Publish.MaxPause)
}

// cutsOver says whether an environment's plan becomes visible as its policy wants: all slices, and in one transaction unless people
// are asked, or nothing is active.
func (e Environment) cutsOver(mode cutover.Mode) bool {
	if mode != cutover.One || len(e.Slices) == 0 {
		return len(e.Cutover.Slices) == 0
	}
	all := 0
	for _, n := range e.Cutover.Slices {
		if n < 1 {
			return false
		}
		all += n
	}
	return all == len(e.Slices) && (len(e.Cutover.Slices) == 1 || e.Cutover.Asks || e.Active == nil)
}

// cutoverText says in how many transactions what was built becomes visible.
func cutoverText(e Environment) string {
	if len(e.Cutover.Slices) == 1 {
		return "in one transaction, which makes the release the active one" + schedules(e)
	}
	return statesText(e) + activates(e, true)
}

func statesText(e Environment) string {
	n := len(e.Cutover.Slices)
	return fmt.Sprintf("in %s, so that readers may see %s in between", count(n, "transaction"), count(n-1, "state"))
}

// askText is what readers would notice.
func askText(e Environment) string {
	if len(e.Cutover.Slices) > 1 {
		return "publish " + statesText(e)
	}
	return "publish in one transaction that is more than publish.max_pause or the server's lock table allow"
}

// pauseText is how long readers are expected to wait.
func pauseText(s Shown) string {
	if s.Pause == 0 {
		return ""
	}
	return fmt.Sprintf("; readers wait for about %s at most", max(time.Millisecond, s.Pause.Round(time.Millisecond)))
}

// transactions is how many there are.
func transactions(e Environment) int {
	if n := len(e.Cutover.Slices); n > 0 {
		return n
	}
	return len(e.Slices)
}

// generations counts what slices publish.
func generations(of []Slice) int {
	n := 0
	for _, s := range of {
		n += len(s.Items)
	}
	return n
}

// Items are what one transaction of a cut-over publishes, with the slice of each.
func (e Environment) Items(part int) map[generation.Item]int {
	items := map[generation.Item]int{}
	first, end := e.Cutover.Part(part)
	for i := first; i < end; i++ {
		for _, item := range e.Slices[i].Items {
			items[item] = i
		}
	}
	return items
}
