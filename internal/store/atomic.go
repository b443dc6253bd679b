package store

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// writeAtomic makes path hold data, so that neither another process nor a crash ever sees a part of it.
// scratch is a folder on the same file system.
func writeAtomic(scratch, path string, data []byte, mode fs.FileMode) error {
	temporary, err := writeTemporary(scratch, data, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		os.Remove(temporary)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeTemporary leaves data, flushed, in a new file with the mode that the umask leaves (os.CreateTemp
// would make a file that only its owner reads).
func writeTemporary(dir string, data []byte, mode fs.FileMode) (path string, err error) {
	path = filepath.Join(dir, rand.Text())
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return "", err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			os.Remove(path)
		}
	}()
	if _, err := f.Write(data); err != nil {
		return "", err
	}
	return path, f.Sync()
}

// syncDir makes a rename survive a power cut.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", dir, err)
	}
	return nil
}
