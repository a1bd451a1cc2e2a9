package accesslog

import (
	"os"
	"strings"
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
	if p := x.verify().Previous; !p.Is(was) || p.Is(&Checkpoint{Origin: was.Origin, Size: was.Size, Root: (&tree{}).root().String()}) {
		t.Errorf("verifying tells of %+v", p)
	}
	if p := old.verify().Previous; p != nil || p.Is(was) {
		t.Errorf("the older log continues %+v", p)
	}
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

// TestPrevious_Removed: which log was given up is still said, and proven, when
// the entry that says so has gone by age.
func TestPrevious_Removed(t *testing.T) {
	before := newTestLog(t, nil).run()
	before.close()
	checkpoint, err := os.ReadFile(before.file(checkpointName))
	if err != nil {
		t.Fatal(err)
	}
	was, err := ReadCheckpoint(checkpoint, before.vkey)
	if err != nil {
		t.Fatal(err)
	}
	x, sealed := prunable(t, func(c *Config) { c.Previous = checkpoint })
	x.prune(sealed[2].First)
	x.prune(sealed[4].First)
	x.close()
	if rep := x.verify(); rep.Removed == 0 || !rep.Previous.Is(was) {
		t.Errorf("%+v", rep)
	}
	if _, err := SecondVerify(x.cfg.Dir, x.vkey); err != nil {
		t.Errorf("the second verifier: %v", err)
	}
	p, err := FirstPayload(t.Context(), x.cfg.Dir)
	if err != nil || !ReadPrevious(p).Is(was) {
		t.Fatalf("%q, %v", p, err)
	}
	prover, err := NewProver(x.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prover.Path(0, p); err != nil {
		t.Errorf("proving it: %v", err)
	}
	note, err := os.ReadFile(x.file(removedName))
	if err != nil {
		t.Fatal(err)
	}
	made := strings.Replace(string(note), `"previous_entries":"`, `"previous_entries":"9`, 1)
	if err := os.WriteFile(x.file(removedName), []byte(made), 0o600); err != nil || made == string(note) {
		t.Fatal(err, made)
	}
	if _, err := Verify(t.Context(), x.cfg.Dir, x.vkey, nil); !isTampered(err) {
		t.Errorf("another log named: %v", err)
	}
}

func TestReadPrevious(t *testing.T) {
	x := newTestLog(t, nil).run()
	x.record(denied(0))
	x.close()
	for i, e := range x.all(Filter{Ascending: true}) {
		if p := ReadPrevious(e.Payload); p != nil {
			t.Errorf("entry %d: %+v", i, p)
		}
	}
	for _, p := range []string{"", "{", `{"index":0,`, `{"index":10,"node":"x"}`} {
		if ReadPrevious([]byte(p)) != nil {
			t.Errorf("%q says something", p)
		}
	}
	none, err := FirstPayload(t.Context(), t.TempDir())
	if none != nil || err != nil {
		t.Errorf("of no log: %q, %v", none, err)
	}
}
