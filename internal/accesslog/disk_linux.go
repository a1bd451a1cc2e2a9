package accesslog

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// datasync syncs a file's data and, as its size never changes, nothing else.
func datasync(f *os.File) error {
	for {
		// An interrupted call has not reported on the pages yet; asking again is safe.
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// freeSpace returns how much of the disk that holds dir we may still fill.
func freeSpace(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	// What is reserved for root counts as taken.
	return st.Bavail * uint64(st.Bsize), (st.Blocks - st.Bfree + st.Bavail) * uint64(st.Bsize), nil
}

// reserve asks for size bytes of disk for f. A file system that cannot reserve is not an error.
func reserve(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}
