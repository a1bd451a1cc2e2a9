package accesslog

import (
	"os"
	"testing"
)

// TestPrevious: a log that begins where another was given up names that one's
// newest checkpoint in its first entry, and once only.
func TestPrevious(t *testing.T) {
	old := newTestLog(t, nil).run()
	for i := range 3 {
		old.record(denied(i))
	}
	old.close()
	checkpoint, err := os.ReadFile(old.cfg.Dir + "/" + checkpointName)
	if err != nil {
		t.Fatal(err)
	}
	was, err := ReadCheckpoint(checkpoint, old.vkey)
	if err != nil {
		t.Fatal(err)
	}
	x := newTestLog(t, nil)
	x.cfg.Previous = []byte("no checkpoint")
	if _, err := Open(t.Context(), x.cfg); err == nil {
		t.Error("a log begins after nothing that is a log")
	}
	x.cfg.Previous = checkpoint
	x.run()
	x.record(denied(0))
	x.close()
	x.run()
	x.close()
	x.verify()
	named := 0
	if err := Query(t.Context(), x.cfg.Dir, Filter{Action: ActionStart}, func(e *Entry) bool {
		root := e.Detail["previous_root"]
		if root != "" {
			named++
		}
		if first := e.Index == 0; first && (root != was.Root || e.Detail["previous_origin"] != testOrigin || e.Detail["previous_entries"] != "4") {
			t.Errorf("the first entry says %v", e.Detail)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if named != 1 {
		t.Errorf("%d entries name the log that was given up", named)
	}
}
