package rego

import (
	"sync"
	"sync/atomic"
	"time"
)

// A watch cancels one evaluation at its deadline. It costs neither a
// goroutine nor an allocation for an evaluation that keeps it: the runtime's
// timers do the waiting.
type watch struct {
	cancelled atomic.Bool
	timer     *time.Timer
}

// Cancel and Cancelled are what the evaluator asks for between expressions.
func (w *watch) Cancel()         { w.cancelled.Store(true) }
func (w *watch) Cancelled() bool { return w.cancelled.Load() }

var watches = sync.Pool{New: func() any {
	w := new(watch)
	w.timer = time.AfterFunc(time.Hour, w.Cancel)
	w.timer.Stop()
	return w
}}

// startWatch returns a watch that cancels after d.
func startWatch(d time.Duration) *watch {
	w := watches.Get().(*watch)
	w.timer.Reset(d)
	return w
}

// stop ends the watch. One that has fired is not used again: its cancellation
// might arrive late, in somebody else's evaluation.
func (w *watch) stop() {
	if w.timer.Stop() {
		watches.Put(w)
	}
}
