package studio

import (
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// overhead is what a child takes beside its heap: stacks, the program's own
// data and what the runtime keeps for itself.
const overhead = 128 << 20

// confineSystem has the system enforce what the runtime only tries to keep to.
func confineSystem(l Limits) error {
	// Whatever runs out of memory on this machine, this process goes first. A
	// sandbox may forbid it: then the limits below are all there is.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	bounds := map[int]uint64{
		unix.RLIMIT_DATA:  uint64(l.Memory + overhead),
		unix.RLIMIT_CORE:  0,
		unix.RLIMIT_FSIZE: 0,
	}
	if l.Time > 0 { // should the gateway not be there to end it
		bounds[unix.RLIMIT_CPU] = uint64(l.Time/time.Second+1) * uint64(runtime.NumCPU())
	}
	for resource, most := range bounds {
		var now unix.Rlimit
		if err := unix.Getrlimit(resource, &now); err != nil {
			return err
		}
		limit := unix.Rlimit{Cur: min(most, now.Max), Max: min(most, now.Max)}
		if err := unix.Setrlimit(resource, &limit); err != nil {
			return err
		}
	}
	return nil
}

// LowerPriority gives every thread of this process a low priority, which threads
// that come later inherit: beside a gateway that takes all it can get, a tenth
// of the machine. [Serve] lowers it further for all but a replay, which has
// much to do and is to come to an end. A sandbox may forbid it: then it is only
// a process of its own.
func LowerPriority() { lowerPriority(10) }

func lowerPriority(nice int) {
	for done := map[string]bool{}; ; {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, 0, nice)
			return
		}
		before := len(done)
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil || done[t.Name()] {
				continue
			}
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, nice)
			done[t.Name()] = true
		}
		if len(done) == before { // none was started meanwhile by one that had the old priority
			return
		}
	}
}
