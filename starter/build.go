package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"drawbridge/internal/store"
)

func (a *app) buildCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Pack a folder into a release and store it",
		Long: `Packs the folder into an immutable release, tagged NAME-VERSION, in the artifact store. It needs neither Temporal nor a
warehouse. The same files give the same digest on every machine. Data is never packed; secrets, symbolic links, files over
10 MiB that pack.allow does not name, and a version that exists with another content are refused.`,
		Example: "  drawbridge build\n  drawbridge build ./shop --registry registry.example.com/data/pipelines",
		GroupID: groupChange,
		Args:    between(0, 1, "DIR"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.build(cmd.Context(), dirOf(args)) },
	}
	cmd.Flags().StringVar(&a.storeRef, "registry", "", "repository of an OCI registry to store it in, HOST/REPOSITORY; another word for --store")
	return cmd
}

// dirOf is the folder that was named, or the working directory.
func dirOf(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

// built is the answer of build.
type built struct {
	Pipeline string          `json:"pipeline"`
	Version  string          `json:"version"`
	Digest   string          `json:"digest"`
	Store    string          `json:"store"`
	Created  bool            `json:"created"`
	Files    []packed        `json:"files"`
	Skipped  []store.Skipped `json:"skipped"`
}

// packed is a file of a release.
type packed struct {
	Path  string `json:"path"`
	Bytes int    `json:"bytes"`
}

func (a *app) build(ctx context.Context, dir string) error {
	f, err := openFolder(dir)
	if err != nil {
		return err
	}
	p, err := f.check()
	if err != nil {
		return err
	}
	s, err := a.store()
	if err != nil {
		return err
	}
	r, created, err := s.Build(ctx, p.Name, p.Version, f.files)
	if err != nil {
		return err
	}
	b := built{Pipeline: r.Pipeline, Version: r.Version, Digest: r.Digest, Store: s.Location(), Created: created, Skipped: f.skipped}
	for _, path := range f.files.Paths() {
		b.Files = append(b.Files, packed{Path: path, Bytes: len(f.files[path])})
	}
	if a.json {
		return a.print(b)
	}
	a.showBuilt(b)
	return nil
}

func (a *app) showBuilt(b built) {
	st := a.style(a.Stdout)
	for _, f := range b.Files {
		fmt.Fprintf(a.Stdout, "  %8d  %s\n", f.Bytes, f.Path)
	}
	for _, s := range b.Skipped {
		fmt.Fprintln(a.Stdout, st.dim(fmt.Sprintf("  not packed  %s (%s)", s.Path, s.Reason)))
	}
	state := "stored"
	if !b.Created {
		state = "was there already, with the same content"
	}
	fmt.Fprintf(a.Stdout, "\n%s %s in %s\n%s\n\n", st.bold(b.Pipeline+"@"+b.Version), state, b.Store, b.Digest)
	a.next(fmt.Sprintf("drawbridge plan %s@%s --to dev", b.Pipeline, b.Version))
}
