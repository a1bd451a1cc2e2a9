//go:build !linux

package studio

import "golang.org/x/sys/unix"

// confineSystem leaves no core file; the runtime's own limits are all there is
// beside it.
func confineSystem(Limits) error {
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// LowerPriority gives this process a low priority; [Serve] lowers it further
// for all but a replay.
func LowerPriority() { lowerPriority(10) }

func lowerPriority(nice int) { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, nice) }
