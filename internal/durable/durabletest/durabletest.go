// Package durabletest spares tests the wait for a disk. A test that kills a
// process or fills a log learns nothing from a sync that takes long: only the
// power could tell, and no test cuts that. Start with [InMemory].
package durabletest

import (
	"os"
	"strings"
	"syscall"
)

// enough is how much room a file system in memory must have, in bytes.
const enough = 1 << 30

// InMemory runs a package's tests, or a process that one of them starts, with
// temporary folders in memory where the machine has room for that, and returns
// what run returns. Benchmarks, which measure the disk, keep the usual ones.
func InMemory(run func() int) int {
	var fs syscall.Statfs_t
	if syscall.Statfs("/dev/shm", &fs) != nil || uint64(fs.Bavail)*uint64(fs.Bsize) < enough {
		return run()
	}
	for _, a := range os.Args {
		if name, value, ok := strings.Cut(a, "="); ok && strings.HasSuffix(name, "test.bench") && value != "" {
			return run()
		}
	}
	dir, err := os.MkdirTemp("/dev/shm", "ringfence-test-")
	if err != nil || os.Setenv("TMPDIR", dir) != nil {
		return run()
	}
	defer os.RemoveAll(dir)
	return run()
}
