package index

import (
	"runtime"
	"syscall"
)

// yieldToOthers makes the calling goroutine's thread one that runs when nothing
// else wants to: the gateway builds its index on the machine that serves. The
// thread ends with the goroutine, because a thread does not get its priority back.
func yieldToOthers() {
	runtime.LockOSThread()
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), 19) // a wish
}
