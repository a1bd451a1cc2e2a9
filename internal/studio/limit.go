package studio

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
)

// Bounds on every job beside [Limits].
const (
	maxStack  = 64 << 20 // bytes, of what recurses
	maxAnswer = 32 << 20 // bytes, of one line from the child
)

// confine bounds this process, which is the child: a draft that takes more than
// it may ends it, and nothing is left of it on any disk.
func confine(l Limits) error {
	debug.SetMaxStack(maxStack)
	debug.SetMemoryLimit(l.Memory - l.Memory/4) // from here on the collector works harder
	if err := confineSystem(l); err != nil {
		return fmt.Errorf("limiting the process: %w", err)
	}
	return nil
}

// environment is what a child is given: nothing of the gateway's, which may
// hold secrets, and no traces of goroutines, which may hold parts of a draft.
func environment() []string {
	return []string{"GOTRACEBACK=none", "PATH=" + os.Getenv("PATH")}
}

// ended says why a child went without an answer.
func ended(words []byte, err error) error {
	has := func(any ...string) bool {
		for _, w := range any {
			if bytes.Contains(words, []byte(w)) {
				return true
			}
		}
		return false
	}
	switch {
	case has("stack overflow", "goroutine stack exceeds"):
		return &LimitError{"depth"}
	case has("out of memory", "cannot allocate memory", "failed to create new OS thread"):
		return &LimitError{"memory"}
	case has("SIGXCPU"):
		return &LimitError{"time"}
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		// Nobody but the system kills a child before it has answered: it is the
		// first to go where memory runs out.
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() && s.Signal() == syscall.SIGKILL {
			return &LimitError{"memory"}
		}
	}
	return fmt.Errorf("the child process ended: %v: %s", err, words)
}
