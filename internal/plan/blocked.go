package plan

// Blocked lists what refuses the deployment, as far as the summary holds it, in the order of the environments.
func (s Summary) Blocked() []Blocked {
	var found []Blocked
	for _, e := range s.Environments {
		for _, p := range e.Problems {
			if p.Blocking {
				found = append(found, Blocked{Environment: e.Name, Problem: p})
			}
		}
	}
	return found
}
