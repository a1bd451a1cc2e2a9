// Package durable writes files and folders so that they survive a power cut:
// what was there before, or what was asked for, and never a mixture. It never
// locks, and leaves it to its callers that one process writes a file at a time.
// Start with [WriteFile].
//
// A file is written beside its destination, synced, renamed over it, and the
// folder is synced. The rename is atomic on every file system that a gateway
// should stand on (ext4, xfs, btrfs, zfs, apfs). What is still unsafe: a disk
// that acknowledges a sync before it has the data.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile replaces the file at path with data, whole or not at all, and
// returns once it is durable. The temporary file stands in the same folder
// and has perm; it is removed on error. The file that was there stays in place
// on every error but that of the last step, syncing the folder, after which
// either may survive a power cut.
func WriteFile(path string, data []byte, perm fs.FileMode) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*.tmp")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close() // a second close does nothing
			os.Remove(f.Name())
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	if err := f.Chmod(perm); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// Mkdir makes the folder path with perm, and those above it that are missing,
// and syncs the parent of each one that it made. A folder that is already
// there is left as it is.
func Mkdir(path string, perm fs.FileMode) error {
	path = filepath.Clean(path)
	switch st, err := os.Stat(path); {
	case err == nil && st.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("making folder %s: a file has that name", path)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("making folder: %w", err)
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := Mkdir(parent, perm); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making folder: %w", err)
	}
	return SyncDir(parent)
}

// SyncDir makes the names in folder dir durable: files made, renamed or removed there.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing folder: %w", err)
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("syncing folder %s: %w", dir, err)
	}
	return nil
}
