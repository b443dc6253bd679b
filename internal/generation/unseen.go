package generation

// Unseen names what is live in the ledger, and hangs in no table that readers see: whoever administers the warehouse has detached it.
type Unseen struct {
	Lines []UnseenLine `json:"lines,omitempty"`
	More  int          `json:"more,omitempty"` // that are not named
}

// UnseenLine is a table that has to be attached again.
type UnseenLine struct {
	Output string `json:"output"`
	Text   string `json:"text"`
	Remedy string `json:"remedy"` // with the statement, where there is one
}
