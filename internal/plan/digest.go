package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
)

// Seal computes the plan's digest over everything that it decides. What it only shows may move without another digest.
func Seal(p *Plan) { p.Digest = digestOf(Canonical(*p)) }

// Canonical is the JSON of what a plan decides, whose SHA-256 is the plan's digest: without the digest, and without
// what is only shown.
func Canonical(p Plan) []byte {
	p.Digest = ""
	p.Environments = slices.Clone(p.Environments)
	for i := range p.Environments {
		p.Environments[i].Shown = Shown{}
	}
	return canonical(p)
}

// Verify refuses a plan whose content is not what its digest names: approvals are given to the digest.
func Verify(p Plan) error {
	got := digestOf(Canonical(p))
	if got == p.Digest {
		return nil
	}
	return fault.Newf(fault.Conflict, "verify plan", gate.Short(p.Digest), "plan again: "+planCommand(p),
		"its content has the digest "+gate.Short(got))
}

// canonical encodes fields in the order of their type, and maps by key. Our own types always encode: they hold no
// channel, function or infinite number.
func canonical(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return body
}

func digestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}
