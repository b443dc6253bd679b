package pipeline

import "slices"

// Output returns the output of a table's name.
func (p *Pipeline) Output(table string) (Output, bool) {
	i := slices.IndexFunc(p.Outputs, func(o Output) bool { return o.Table == table })
	if i < 0 {
		return Output{}, false
	}
	return p.Outputs[i], true
}

// IndexCount is how many indexes each partition has.
func (o Output) IndexCount() int {
	n := len(o.Indexes)
	if len(o.Key) > 0 {
		n++
	}
	return n
}

// Tables are the names of a pipeline's outputs.
func (p *Pipeline) Tables() []string {
	names := make([]string, len(p.Outputs))
	for i, o := range p.Outputs {
		names[i] = o.Table
	}
	return names
}
