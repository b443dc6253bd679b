package secret

import (
	"net/url"
	"slices"
	"sync"
)

// tooShort is the length below which a value would take ordinary words apart.
const tooShort = 4

// Known are the values that this process has resolved. It is safe for concurrent use.
type Known struct {
	mu     sync.Mutex
	values []string
}

func (k *Known) add(value string) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	values := []string{value}
	if parsed, err := url.Parse(value); err == nil && parsed.User != nil {
		password, _ := parsed.User.Password()
		values = append(values, password)
	}
	for _, v := range values {
		if len(v) >= tooShort && !slices.Contains(k.values, v) {
			k.values = append(k.values, v)
		}
	}
}

// Redact takes every value out of a text, and the passwords of connection strings whether they are known or not.
func (k *Known) Redact(text string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return RedactURL(Redact(text, k.values...))
}
