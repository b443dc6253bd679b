package secret

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"drawbridge/internal/fault"
)

// Policy says which references an environment's worker may resolve: environment variables by the prefix of
// their name, files by their folder. The zero Policy allows none.
type Policy struct {
	Env   []string
	Files []string
}

// DefaultPolicy allows ${env:DRAWBRIDGE_SECRET_…} and ${file:/run/secrets/…}.
func DefaultPolicy() Policy {
	return Policy{Env: []string{"DRAWBRIDGE_SECRET_"}, Files: []string{"/run/secrets/"}}
}

// Check refuses a value with a reference that the policy does not allow, or with a password written out.
// It resolves nothing, so it can be used where the secrets are not.
func (p Policy) Check(value string) error {
	parts, err := Parse(value)
	if err != nil {
		return err
	}
	if literalPassword(parts) {
		return fault.New(fault.Refused, "check", "connection string",
			"put the password where the policy allows it and refer to it, for example ${env:"+p.example()+"}",
			errors.New("the password is written out"))
	}
	for _, part := range parts {
		if part.IsRef() && !p.allows(part.Ref) {
			return fault.New(fault.Refused, "check secret reference", part.Ref.String(), p.hint(),
				errors.New("the environment's policy does not allow it"))
		}
	}
	return nil
}

func (p Policy) allows(ref Ref) bool {
	switch ref.Scheme {
	case SchemeEnv:
		for _, prefix := range p.Env {
			if strings.HasPrefix(ref.Name, strings.TrimSuffix(prefix, "*")) {
				return true
			}
		}
	case SchemeFile:
		// A path is compared by its text, so only its cleaned absolute form can be allowed:
		// "/run/secrets/../../etc/shadow" starts with an allowed folder too.
		if !path.IsAbs(ref.Name) || path.Clean(ref.Name) != ref.Name {
			return false
		}
		for _, folder := range p.Files {
			if strings.HasPrefix(ref.Name, strings.TrimRight(folder, "/*")+"/") {
				return true
			}
		}
	}
	return false
}

func (p Policy) example() string {
	if len(p.Env) == 0 {
		return "NAME"
	}
	return strings.TrimSuffix(p.Env[0], "*") + "PW"
}

func (p Policy) hint() string {
	var allowed []string
	for _, prefix := range p.Env {
		allowed = append(allowed, "${env:"+strings.TrimSuffix(prefix, "*")+"…}")
	}
	for _, folder := range p.Files {
		allowed = append(allowed, "${file:"+strings.TrimRight(folder, "/*")+"/…}")
	}
	if len(allowed) == 0 {
		return "the policy of the environment's worker allows no secrets; ask its owner to allow a prefix"
	}
	return fmt.Sprintf("use %s, or ask the owner of the environment's worker to allow the prefix", strings.Join(allowed, " or "))
}
