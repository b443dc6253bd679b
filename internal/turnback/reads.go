package turnback

// Reads are the generations that Decide asks of a slot, each once. Of a backfill these are few, however long the log is: those since it
// published first, and what it replaced, over whatever was turned back.
func (f Facts) Reads(s Slot) []int64 {
	seen := map[int64]bool{0: true}
	var ids []int64
	read := func(id int64) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	v := view{Facts: f, Slot: s}
	from := 0
	if f.Target.Refills() {
		for from < len(s.Swaps) && (s.Swaps[from].Kind != KindPublish || s.Swaps[from].Owner != f.Target.Owner) {
			from++
		}
	}
	for _, swap := range s.Swaps[from:] {
		read(swap.From)
		read(swap.To)
	}
	if from == 0 || from == len(s.Swaps) {
		return ids
	}
	for e := s.Swaps[from].From; e != 0; { // what it replaced, if that was turned back, and so on
		read(e)
		made := v.last(e, from)
		if made < 0 || f.TurnedBack[s.Swaps[made].Owner] == 0 {
			break
		}
		e = s.Swaps[v.first(e)].From
	}
	return ids
}
