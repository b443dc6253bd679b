package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/internal/console"
)

func (a *app) buildCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Pack a folder into a release and store it",
		Long: `Packs the folder into an immutable release, tagged NAME-VERSION, in the artifact store: it claims the version, which no other
content can have after that. It needs neither Temporal nor a warehouse. The same files give the same digest on every
machine. Data is never packed; secrets, symbolic links, files over
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
	b := console.Built{Pipeline: r.Pipeline, Version: r.Version, Digest: r.Digest, Store: s.Location(), Created: created}
	for _, path := range f.files.Paths() {
		b.Files = append(b.Files, console.Packed{Path: path, Bytes: len(f.files[path])})
	}
	for _, x := range f.skipped {
		b.Skipped = append(b.Skipped, console.Skipped{Path: x.Path, Reason: x.Reason})
	}
	return a.answer(b, func(s console.Screen) string { return s.Built(b) })
}
