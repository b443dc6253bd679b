package fault

import (
	"fmt"
	"unicode/utf8"
)

// MaxText bounds, in bytes, each text that leaves here for a history, a ledger or a screen. A message may repeat what
// authors and files hold, and that has no bound.
const MaxText = 1000

// Bound cuts a text at MaxText, at a character's end, and says how much is left out.
func Bound(text string) string {
	if len(text) <= MaxText {
		return text
	}
	end := MaxText - len("… and 1234567890 bytes more")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s… and %d bytes more", text[:end], len(text)-end)
}
