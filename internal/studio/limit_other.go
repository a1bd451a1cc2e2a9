//go:build !linux

package studio

import "golang.org/x/sys/unix"

// confineSystem leaves no core file; the runtime's own limits are all there is
// beside it.
func confineSystem(Limits) error {
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// LowerPriority gives this process the lowest priority.
func LowerPriority() { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19) }
