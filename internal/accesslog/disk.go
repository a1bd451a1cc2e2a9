package accesslog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ringfence/ringfence/internal/durable"
)

// disk is what the log asks of a file system, so that tests can make it slow,
// full or failing. Names are paths.
type disk interface {
	// create makes a file of size bytes, all zero and on disk, under name,
	// which must not exist. On error nothing is left.
	create(name string, size int64) error
	open(name string) (file, error)
	// rename must be durable when it returns.
	rename(from, to string) error
	remove(name string) error
	// settle makes durable which names the disk's own folder has.
	settle() error
	// write replaces a small file as [durable.WriteFile] does.
	write(name string, data []byte) error
	// append adds to a small file, making it if need be, and syncs it. On error it is as it was.
	append(name string, data []byte) error
	// flush syncs a file that others write; one that is missing is none.
	flush(name string) error
	// space returns how many bytes are free, for us, and how many there are.
	space() (free, total uint64, err error)
	// zero overwrites a file of size bytes with zeros and syncs it.
	zero(name string, size int64) error
}

// file is an open segment.
type file interface {
	ReadAt([]byte, int64) (int, error)
	WriteAt([]byte, int64) (int, error)
	size() (int64, error)
	// sync makes what was written durable. An error is final: the kernel may
	// have dropped the pages, and a second call would report success.
	sync() error
	Close() error
}

type osDisk struct{ dir string }

type osFile struct{ *os.File }

func (f osFile) sync() error { return datasync(f.File) }

func (f osFile) size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (d osDisk) create(name string, size int64) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			os.Remove(name)
		}
	}()
	// Reserving first says at once when there is no room, instead of filling
	// the disk up before finding out.
	if err := reserve(f, size); err != nil {
		return err
	}
	return writeZeros(f, size)
}

func (d osDisk) open(name string) (file, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d osDisk) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return durable.SyncDir(d.dir)
}

func (d osDisk) remove(name string) error { return os.Remove(name) }

func (d osDisk) settle() error { return durable.SyncDir(d.dir) }

func (d osDisk) write(name string, data []byte) error { return durable.WriteFile(name, data, 0o600) }

func (d osDisk) append(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, st.Size()); err != nil {
		f.Truncate(st.Size()) // part of it may have been written before the disk was full
		return err
	}
	return f.Sync()
}

func (d osDisk) flush(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (d osDisk) zero(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() != size {
		return fmt.Errorf("recycling %s: it has another size", name)
	}
	return writeZeros(f, size)
}

func (d osDisk) space() (free, total uint64, err error) { return freeSpace(d.dir) }

func writeZeros(f *os.File, size int64) error {
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	return f.Sync()
}

// lockPatience is how long Open waits for the lock: a verifier holds it for an
// instant when it looks whether a writer runs.
const lockPatience = 200 * time.Millisecond

func waitLock(ctx context.Context, name string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		f, err := lockFile(name)
		if err == nil || !errors.Is(err, ErrLocked) {
			return f, err
		}
		if pause(ctx) != nil {
			return nil, err
		}
	}
}

// InUse reports whether a process writes the log in dir. A folder without a log
// is not in use.
func InUse(dir string) bool { return writerRuns(dir) }

// writerRuns reports whether a process holds the log in dir.
func writerRuns(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		return false // a copy without the lock file
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// lockFile takes the lock that makes this process the log's one writer. The
// kernel lets go of it when the process ends, however it ends.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	return f, nil
}
