package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"drawbridge/internal/console"
	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline/scaffold"
)

func (a *app) initCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "init NAME",
		Short:   "Make the folder of a new pipeline",
		Long:    "Makes a pipeline with one table, three days of data, checks and a unit test. It passes validate as it is.",
		Example: "  drawbridge init shop\n  drawbridge init shop --dir pipelines/shop",
		GroupID: groupSetup,
		Args:    between(1, 1, "NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			if dir == "" {
				dir = args[0]
			}
			return a.scaffold(args[0], dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder to make (default: NAME)")
	return cmd
}

func (a *app) scaffold(name, dir string) error {
	files, err := scaffold.New(name)
	if err != nil {
		return err
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fault.Newf(fault.Refused, "make pipeline in", dir, "choose a new folder: --dir DIR", "the folder is not empty")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Invalid, "make pipeline in", dir, "choose another folder: --dir DIR", err)
	}
	names := slices.Sorted(maps.Keys(files))
	for _, file := range names {
		path := filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return fault.New(fault.Invalid, "make folder", filepath.Dir(path), "choose another folder: --dir DIR", err)
		}
		if err := os.WriteFile(path, files[file], 0o666); err != nil {
			return fault.New(fault.Invalid, "write", path, "choose another folder: --dir DIR", err)
		}
	}
	made := console.Scaffold{Dir: dir, Files: names}
	return a.answer(made, func(s console.Screen) string { return s.Scaffold(made) })
}
