package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Digest names what the pipeline says, whatever the spelling of its files: sha256 of its canonical JSON. The selected
// config is not part of it.
func (p *Pipeline) Digest() string { return digest(p) }

// Digest names what the config says; secret references are digested as written, never resolved.
func (c Config) Digest() string { return digest(c) }

// Digest names what the policy says.
func (p Policy) Digest() string { return digest(p) }

// digest relies on encoding/json: struct fields in order, map keys sorted.
func digest(v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		// Only a NaN or an infinity in a row could come here, and the parser has neither.
		panic("encode canonical JSON: " + err.Error())
	}
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}
