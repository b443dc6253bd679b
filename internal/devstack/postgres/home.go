package postgres

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// outside is where a cluster lives whose account cannot enter the stack's directory: unlike /tmp it survives a restart
// of the machine.
const outside = "/var/tmp"

// Passwords are those of the cluster's two roles. They are made with the cluster and kept beside its data.
type Passwords struct {
	Superuser  string `json:"superuser"`
	Drawbridge string `json:"drawbridge"`
}

// openHome returns the directory that holds the cluster's data and passwords, and makes it where there is none. It is
// link itself, or, where the account cannot enter that, a directory elsewhere to which link points.
func openHome(link string, account Account) (string, error) {
	if _, err := os.Stat(link); err == nil {
		return filepath.EvalSymlinks(link)
	}
	// What is left is nothing, or a link whose target is gone.
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("replace %s: %w", link, err)
	}
	if err := os.Mkdir(link, 0o700); err != nil {
		return "", fmt.Errorf("create the cluster's directory: %w", err)
	}
	if err := account.own(link); err != nil {
		return "", fmt.Errorf("give the cluster's directory to its account: %w", err)
	}
	if account.canEnter(link) {
		return filepath.EvalSymlinks(link)
	}
	if err := os.Remove(link); err != nil {
		return "", fmt.Errorf("replace %s: %w", link, err)
	}
	home, err := os.MkdirTemp(outside, "drawbridge-")
	if err != nil {
		return "", fmt.Errorf("create the cluster's directory: %w", err)
	}
	if err := errors.Join(account.own(home), os.Symlink(home, link)); err != nil {
		return "", errors.Join(fmt.Errorf("point %s to the cluster: %w", link, err), os.Remove(home))
	}
	return home, nil
}

// Remove deletes the cluster that link is or points to. The cluster must be stopped.
func Remove(link string) error {
	home, err := filepath.EvalSymlinks(link)
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(link) // a link whose target is gone, or nothing
	}
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	return errors.Join(os.RemoveAll(home), os.RemoveAll(link))
}

// passwords reads the cluster's passwords, or makes new ones for a cluster that is about to be created.
func passwords(home string) (Passwords, error) {
	file := filepath.Join(home, "passwords.json")
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		made := Passwords{Superuser: password(), Drawbridge: password()}
		content, err = json.Marshal(made)
		if err != nil {
			return Passwords{}, fmt.Errorf("write the cluster's passwords: %w", err)
		}
		return made, os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		return Passwords{}, fmt.Errorf("read the cluster's passwords: %w", err)
	}
	var kept Passwords
	if err := json.Unmarshal(content, &kept); err != nil {
		return Passwords{}, fmt.Errorf("read the cluster's passwords in %s: %w", file, err)
	}
	return kept, nil
}

// password is 128 random bits in characters that need no quoting in URLs, SQL and shells.
func password() string {
	bits := make([]byte, 16)
	_, _ = rand.Read(bits) // never fails: crypto/rand ends the program first
	return hex.EncodeToString(bits)
}
