package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"drawbridge/internal/fault"
)

// stack is the local stack as it describes itself in .drawbridge/devstack.json. The URLs hold passwords.
type stack struct {
	TemporalAddress string `json:"temporal_address"`
	UI              string `json:"ui"`
	Warehouse       string `json:"warehouse"`
	TestDatabase    string `json:"test_database"`
	TestSuperuser   string `json:"test_superuser"`
}

const stackDir = ".drawbridge"

// stack finds the running stack in the working directory or above it. Where there is none, the error is fs.ErrNotExist.
func (m *Main) stack() (s stack, dir string, err error) {
	at, err := filepath.Abs(m.Dir)
	if err != nil {
		return stack{}, "", fmt.Errorf("find the working directory: %w", err)
	}
	for {
		dir = filepath.Join(at, stackDir)
		body, err := os.ReadFile(filepath.Join(dir, "devstack.json"))
		if err == nil {
			if err := json.Unmarshal(body, &s); err != nil {
				return stack{}, "", fault.New(fault.Invalid, "read", filepath.Join(dir, "devstack.json"),
					"start the stack again: make down up", err)
			}
			return s, dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return stack{}, "", fault.New(fault.Invalid, "read", filepath.Join(dir, "devstack.json"),
				"use the stack of your own user: make up", err)
		}
		parent := filepath.Dir(at)
		if parent == at {
			return stack{}, "", fs.ErrNotExist
		}
		at = parent
	}
}
