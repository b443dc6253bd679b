package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/store"
)

// options are what a worker is started with.
type options struct {
	environments []string
	workflows    bool
	policies     string
	sourceRoot   string
	store        string
	key          string
	trust        string
	builds       int
	logFormat    string
}

func (o *options) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&o.environments, "env", nil, "an environment to serve; repeat it for more")
	f.BoolVar(&o.workflows, "workflows", false, "also serve the workflows; they need no credentials")
	f.StringVar(&o.policies, "policies", os.Getenv("DRAWBRIDGE_POLICIES"), "folder with policy.<env>.yaml; without it, default policies [DRAWBRIDGE_POLICIES]")
	f.StringVar(&o.sourceRoot, "source-root", envOr("DRAWBRIDGE_SOURCE_ROOT", "."), "folder that source_files of a config is below, unless the policy names roots [DRAWBRIDGE_SOURCE_ROOT]")
	f.StringVar(&o.store, "store", os.Getenv("DRAWBRIDGE_STORE"), "artifact store: a folder, or host/repository of an OCI registry [DRAWBRIDGE_STORE]")
	f.StringVar(&o.key, "key", envOr("DRAWBRIDGE_KEY", filepath.Join(".drawbridge", "signing-key.pem")), "ed25519 key that signs statements; made where there is none [DRAWBRIDGE_KEY]")
	f.StringVar(&o.trust, "trust", os.Getenv("DRAWBRIDGE_TRUST"), "file with the public keys (PEM) of the workers whose statements count; without it, only this worker's own [DRAWBRIDGE_TRUST]")
	f.IntVar(&o.builds, "builds", 2, "slices that are built at the same time, per environment")
	f.StringVar(&o.logFormat, "log", "json", "json or console")
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// check refuses a worker that would serve nothing.
func (o options) check() error {
	if len(o.environments) == 0 && !o.workflows {
		return fault.Newf(fault.Invalid, "start worker", "", "say what to serve: --env dev --workflows", "it would serve nothing")
	}
	if o.builds < 1 {
		return fault.Newf(fault.Invalid, "start worker", "--builds", "give 1 or more", "it would build nothing")
	}
	return nil
}

// policy reads an environment's policy, or the default one where no folder of policies is named.
func (o options) policy(environment string) (pipeline.Policy, error) {
	if o.policies == "" {
		return pipeline.DefaultPolicy(environment)
	}
	path := filepath.Join(o.policies, "policy."+environment+".yaml")
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return pipeline.Policy{}, fault.Newf(fault.Invalid, "read policy", path, "write one, or start the worker without --policies", "it is not there")
	}
	if err != nil {
		return pipeline.Policy{}, fault.New(fault.Invalid, "read policy", path, "let the worker's user read it", err)
	}
	return pipeline.ParsePolicy(path, body)
}

// keys are the signer and the verifier of this worker's statements.
func (o options) keys() (store.Signer, store.Verifier, error) {
	signer, err := store.LoadOrCreateKey(o.key)
	if err != nil {
		return store.Signer{}, store.Verifier{}, err
	}
	if o.trust == "" {
		return signer, store.Trust(signer), nil
	}
	body, err := os.ReadFile(o.trust)
	if err != nil {
		return store.Signer{}, store.Verifier{}, fault.New(fault.Invalid, "read trusted keys", o.trust, "name a file of public keys in PEM", err)
	}
	trusted, err := store.ParseTrusted(body)
	if err != nil {
		return store.Signer{}, store.Verifier{}, fmt.Errorf("read trusted keys: %w", err)
	}
	return signer, trusted, nil
}
