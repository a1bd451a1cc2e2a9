package index

import (
	"syscall"
	"testing"
)

// TestYield: a thread that builds the gateway's index has the lowest priority,
// and no other thread has it from then on.
func TestYield(t *testing.T) {
	of := func() int {
		n, err := syscall.Getpriority(syscall.PRIO_PROCESS, syscall.Gettid()) // 20 less the niceness
		if err != nil {
			t.Error(err)
		}
		return 20 - n
	}
	before, within := of(), make(chan int)
	go func() {
		yieldToOthers()
		within <- of()
	}()
	if got := <-within; got != 19 {
		t.Errorf("niceness %d while building, want 19", got)
	}
	for range 100 {
		go func() { within <- of() }()
		if got := <-within; got != before {
			t.Fatalf("niceness %d afterwards, want %d", got, before)
		}
	}
}
