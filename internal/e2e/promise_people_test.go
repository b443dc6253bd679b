package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// What a person types as a name or a reason never moves the cursor of whoever reads it.
func TestNoControlCharacterReachesATerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("dev", "approval: {required: true, quorum: 3}\n")
	w.worker("worker", "--env", "dev", "--workflows")
	const name, reason = "eve\x1b[2K\rgrace", "fine\x1b]0;title\x07\x1b[1A\rapproved by both\u202e\u0085"
	waiting := w.try("deploy", w.release("1.0.0"), "--to", "dev", "--as", name, "--reason", reason)
	if waiting.code != 4 { // such a name is refused at once, which is as good
		require.NotZero(t, waiting.code)
		w.cli(4, "deploy", "shop-1.0.0", "--to", "dev")
	}
	approved := w.try("approve", shop, "--as", "linus"+name, "--reason", reason)
	said := []answer{waiting, approved, w.try("status", shop), w.try("inbox"), w.try("reject", shop, "--gate", name, "--as", "x", "--reason", reason)}
	said = append(said, w.try("status", shop), w.try("history", shop, "--env", "dev"))
	for _, a := range said {
		for _, c := range []string{"\x1b", "\r", "\x07", "\u202e", "\u0085"} {
			require.NotContains(t, a.out+a.err, c)
		}
	}
}

// A name in another case, or in another spelling of the same letters, is the same person.
func TestOnePersonIsOneHoweverTheirNameIsSpelt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("dev", "approval: {required: true, quorum: 2}\n")
	w.worker("worker", "--env", "dev", "--workflows")
	w.cli(4, "deploy", w.release("1.0.0"), "--to", "dev")
	for _, name := range []string{"André", "andré", "Andre\u0301", " André ", "ANDRÉ", "André\u200b"} {
		a := w.try("approve", shop, "--as", name, "--reason", "looks right")
		if a.code == 0 {
			require.Contains(t, a.out, "1 of 2", "%q", name)
		}
		require.Equal(t, workflows.StageWaiting, w.status(shop).Stage, "%q counts as another person", name)
	}
	w.cli(0, "approve", shop, "--as", "linus", "--reason", "me too")
	w.done(four, "1.0.0")
}

// Four eyes are two people: whoever asked does not become another one by a capital letter.
func TestFourEyesSeeThroughCapitals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("dev", "approval: {required: true, four_eyes: true}\n")
	w.worker("worker", "--env", "dev", "--workflows")
	w.cli(4, "deploy", w.release("1.0.0"), "--to", "dev", "--as", "ada")
	a := w.cli(2, "approve", shop, "--as", "Ada", "--reason", "I like my own work")
	require.Contains(t, a.err, "four eyes")
	require.Equal(t, workflows.StageWaiting, w.status(shop).Stage)
}

// Whoever reads how approvals work reads that names are what a caller types.
func TestTheDocumentsSayThatNamesAreNotAuthenticated(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"README.md", "docs/operations.md"} {
		truDocumented(t, file, "not authenticated")
	}
}
