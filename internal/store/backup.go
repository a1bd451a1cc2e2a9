package store

import (
	"context"
	"fmt"
	"os"
)

// Backup writes a copy of the database as of one moment to a new file, while
// others read and write it. The file must not exist.
func (db *DB) Backup(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("backing up the store: %s exists", path)
	}
	if _, err := db.writer.ExecContext(ctx, `VACUUM INTO ?`, path); err != nil {
		return fmt.Errorf("backing up the store to %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("backing up the store: %w", err)
	}
	return syncFile(path)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("backing up the store: %w", err)
	}
	if err := f.Sync(); err != nil {
		_ = f.Close() // the first error is the one to tell
		return fmt.Errorf("syncing the copy of the store: %w", err)
	}
	return f.Close()
}
