package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ringfence/ringfence/internal/durable"
)

// disk is what building asks of a file system, so that tests can break it.
type disk interface {
	// create makes a new file in dir whose name ends in .tmp.
	create(dir, prefix string) (diskFile, error)
	// rename must be durable when it returns.
	rename(dir, from, to string) error
	remove(dir, name string) error
}

type diskFile interface {
	io.Writer
	Name() string // a path
	Sync() error
	Close() error
}

type osDisk struct{}

func (osDisk) create(dir, prefix string) (diskFile, error) {
	return os.CreateTemp(dir, "."+prefix+"-*.tmp")
}

func (osDisk) rename(dir, from, to string) error {
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

func (osDisk) remove(dir, name string) error {
	err := os.Remove(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// lockName is the file that whoever changes the folder holds a lock on.
const lockName = "lock"

// errBusy: another process changes the folder.
var errBusy = errors.New("another process is changing the index")

// lock waits until nobody else changes the folder, or returns errBusy without
// waiting. The kernel lets go of the lock when the process ends, however it ends.
func lock(ctx context.Context, dir string, wait bool) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the index: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if errors.Is(err, syscall.EWOULDBLOCK) && wait {
			select {
			case <-ctx.Done():
				f.Close()
				return nil, context.Cause(ctx)
			case <-time.After(20 * time.Millisecond):
				continue
			}
		}
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errBusy
		}
		return nil, fmt.Errorf("locking the index: %w", err)
	}
}
