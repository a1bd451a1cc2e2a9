package accesslog

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

const testOrigin = "gate.example.com/log"

// A bench is a log in a folder of its own, which can be closed and opened again.
type testLog struct {
	*Log
	t    testing.TB
	cfg  Config
	vkey string
	done chan error
}

func newTestLog(t testing.TB, change func(*Config)) *testLog {
	t.Helper()
	skey, vkey, err := GenerateKey(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	x := &testLog{t: t, vkey: vkey, cfg: Config{
		Dir: filepath.Join(t.TempDir(), "log"), Node: "node-1", Key: skey, SegmentSize: minSegmentSize,
		CommitDeadline: time.Minute, CheckpointEvery: time.Hour, Logger: slog.New(slog.DiscardHandler),
	}}
	if change != nil {
		change(&x.cfg)
	}
	t.Cleanup(func() {
		if x.Log != nil {
			x.Close()
		}
	})
	return x
}

func (x *testLog) open() *testLog {
	x.t.Helper()
	l, err := Open(x.t.Context(), x.cfg)
	if err != nil {
		x.t.Fatal(err)
	}
	x.Log = l
	return x
}

func (x *testLog) run() *testLog {
	x.t.Helper()
	x.open()
	x.done = make(chan error, 1)
	go func() { x.done <- x.Log.Run(context.Background()) }()
	return x
}

func (x *testLog) close() {
	x.t.Helper()
	if err := x.Log.Close(); err != nil {
		x.t.Fatal(err)
	}
	if x.done != nil {
		if err := <-x.done; err != nil {
			x.t.Fatal(err)
		}
	}
	x.Log = nil
}

func (x *testLog) record(r *policy.Record) uint64 {
	x.t.Helper()
	i, err := x.Record(x.t.Context(), r)
	if err != nil {
		x.t.Fatal(err)
	}
	return i
}

func (x *testLog) verify() Report {
	x.t.Helper()
	r, err := Verify(x.t.Context(), x.cfg.Dir, x.vkey, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	if x.Log == nil { // it reads no log that is being written
		n, err := SecondVerify(x.cfg.Dir, x.vkey)
		if err != nil || uint64(n) != r.Entries {
			x.t.Fatalf("the second verifier finds %d entries, the first %d: %v", n, r.Entries, err)
		}
	}
	return r
}

func (x *testLog) all(f Filter) []*Entry {
	x.t.Helper()
	var out []*Entry
	err := Query(x.t.Context(), x.cfg.Dir, f, func(e *Entry) bool { out = append(out, e); return true })
	if err != nil {
		x.t.Fatal(err)
	}
	return out
}

func request(n int) *policy.Record {
	return &policy.Record{
		Type: policy.RecordRequest, Time: time.Now(), RequestID: fmt.Sprintf("r%06d", n), Account: "acc-7", Email: "kim@vendor.example",
		Vendor: "northwind", Cluster: "claims", Method: "GET", Host: "claims.example.com", Path: fmt.Sprintf("/api/claims/%d", n),
		SourceIP: "192.0.2.7", Effect: "allow", Reasons: []string{}, Factors: map[string]int64{"password": 40, "totp": 31}, CodeAge: policy.Int64(31),
	}
}

func outcome(n int) *policy.Record {
	return &policy.Record{Type: policy.RecordOutcome, RequestID: fmt.Sprintf("r%06d", n), Cluster: "claims", Status: 200, BytesOut: policy.Int64(0)}
}

func TestLog_RecordsSurviveAndVerify(t *testing.T) {
	x := newTestLog(t, nil).run()
	for i := range 2000 {
		x.record(request(i))
		if err := x.Append(outcome(i)); err != nil {
			t.Fatal(err)
		}
	}
	x.close()
	rep := x.verify()
	if want := uint64(1 + 4000); rep.Entries != want || rep.Signed != want {
		t.Fatalf("verified %d entries, %d signed, want %d", rep.Entries, rep.Signed, want)
	}
	if rep.Segments < 10 {
		t.Errorf("only %d segments were used", rep.Segments)
	}
	x.run()
	got := x.all(Filter{Type: "request", Ascending: true})
	if len(got) != 2000 || got[1999].Path != "/api/claims/1999" {
		t.Fatalf("found %d requests", len(got))
	}
	x.close()
	x.verify()
}

// TestStats_OldestUnsigned counts from the entry that waits, not from a
// checkpoint of long ago: the first entry after a quiet hour is no trouble.
func TestStats_OldestUnsigned(t *testing.T) {
	x := newTestLog(t, nil).run()
	defer x.close()
	if err := x.sign(false); err != nil {
		t.Fatal(err)
	}
	x.signs.mu.Lock()
	x.signs.at = time.Now().Add(-time.Hour)
	x.signs.mu.Unlock()
	if d := x.Stats().OldestUnsigned; d != 0 {
		t.Errorf("with nothing to sign: %v", d)
	}
	begin := sinceBorn()
	x.record(request(1))
	if d := x.Stats().OldestUnsigned; d <= 0 || int64(d) > sinceBorn()-begin {
		t.Errorf("the first entry after an hour waits for %v", d)
	}
	x.counters.waiting.Add(-int64(time.Minute))
	x.record(request(2))
	if d := x.Stats().OldestUnsigned; d < time.Minute {
		t.Errorf("behind one of a minute ago: %v", d)
	}
	if err := x.sign(false); err != nil {
		t.Fatal(err)
	}
	if d := x.Stats().OldestUnsigned; d != 0 {
		t.Errorf("once it is signed: %v", d)
	}
}
