package delivery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// A shelf is a table in memory: what each entry of it says in clear.
type shelf struct {
	mu      sync.Mutex
	rows    map[uint64]string
	fault   error // of upkeep
	slow    chan struct{}
	purged  int
	trimmed uint64
}

func (s *shelf) put(batch []*accesslog.Entry, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		s.rows = map[uint64]string{}
	}
	for _, e := range batch {
		if _, there := s.rows[e.Index]; !there || over {
			s.rows[e.Index] = string(e.Clear())
		}
	}
}

func (s *shelf) Send(ctx context.Context, batch []*accesslog.Entry) error {
	s.mu.Lock()
	slow := s.slow
	s.mu.Unlock()
	s.put(batch, false)
	if slow != nil { // it has them, and its answer does not come
		select {
		case <-slow:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *shelf) Close() error { return nil }

func (s *shelf) Mentioning(_ context.Context, account string, from uint64) (out []uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, text := range s.rows {
		if i >= from && strings.Contains(text, `"account":"`+account+`"`) {
			out = append(out, i)
		}
	}
	slices.Sort(out)
	return out, s.fault
}

func (s *shelf) Replace(_ context.Context, batch []*accesslog.Entry) error {
	s.put(batch, true)
	return nil
}

func (s *shelf) Purge(context.Context, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.purged++
	return nil
}

func (s *shelf) Trim(_ context.Context, first uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.rows {
		if i < first {
			delete(s.rows, i)
		}
	}
	s.trimmed = first
	return s.fault
}

// saying counts the entries with a text in them.
func (s *shelf) saying(text string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range s.rows {
		if strings.Contains(row, text) {
			n++
		}
	}
	return n
}

func (s *shelf) set(change func()) { s.mu.Lock(); defer s.mu.Unlock(); change() }

func sealed(c *accesslog.Config) { c.SealPersonal = true }

// fillPeople records n requests each of two accounts.
func fillPeople(t *testing.T, l *accesslog.Log, n int) {
	t.Helper()
	for range n {
		for _, who := range []string{"kim", "lee"} {
			r := &policy.Record{Type: policy.RecordRequest, Time: time.Now().UTC(), Account: who, Email: who + "@northwind.example", SourceIP: "203.0.113.9",
				Cluster: "claims", Method: "GET", Path: "/claims/" + strings.Repeat("x", 200), Effect: "deny"}
			if err := l.Append(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := l.Record(t.Context(), &policy.Record{Type: policy.RecordLog, Time: time.Now().UTC(), Action: "test"}); err != nil {
		t.Fatal(err)
	}
}

// An account that is erased is forgotten by a destination that can forget, over
// faults and restarts, and nobody else is.
func TestForget(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"), sealed)
	fillPeople(t, l, 300)
	table, plain := &shelf{}, newSink()
	folder := filepath.Join(dir, "delivery")
	c := testConfig(l, folder, Destination{Name: "fleet", Sender: table}, Destination{Name: "siem", Sender: plain})
	c.LogDir = filepath.Join(dir, "log")
	s, stop := start(t, c)
	until(t, "all is there", func() bool {
		return table.saying("kim@") == 300 && table.saying("lee@") == 300 && s.States()[1].Lag == 0
	})
	table.set(func() { table.fault = errors.New("no permission") })
	if err := accesslog.ErasePersonal(c.LogDir, "kim"); err != nil {
		t.Fatal(err)
	}
	if err := Forget(folder, "kim", l.Size()); err != nil {
		t.Fatal(err)
	}
	until(t, "the fault is told", func() bool {
		st := s.States()[0]
		return st.Forgetting == 1 && strings.Contains(st.UpkeepFault, "no permission") && !st.UpkeepSince.IsZero() && st.Fault == ""
	})
	fillPeople(t, l, 10) // goes on meanwhile
	until(t, "delivery went on", func() bool { return table.saying(`"account":"lee"`) == 310 })
	stop()
	table.set(func() { table.fault = nil })
	s, _ = start(t, c)
	until(t, "it is forgotten", func() bool { return s.States()[0].Forgetting == 0 && s.States()[0].UpkeepFault == "" })
	if n, m, k := table.saying("kim@"), table.saying("lee@"), table.saying(`"account":"kim"`); n != 0 || m != 310 || k != 310 {
		t.Errorf("%d entries have the address, %d the other one's, %d the account", n, m, k)
	}
	for _, name := range []string{"fleet", "siem"} { // the second drops at its start what it cannot do
		if left, err := Forgetting(folder, name); err != nil || len(left) > 0 {
			t.Errorf("%s: %v, %v", name, left, err)
		}
	}
	if err := Forget(folder, "../kim", 1); err == nil {
		t.Error("a path was taken for an account")
	}
}

// A batch that was on its way when the account was erased, and whose answer was
// lost, is looked at again once what follows it was taken.
func TestForget_OnItsWay(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"), sealed)
	table := &shelf{slow: make(chan struct{})}
	folder := filepath.Join(dir, "delivery")
	c := testConfig(l, folder, Destination{Name: "fleet", Sender: table, Linger: 500 * time.Millisecond}) // one batch
	c.LogDir = filepath.Join(dir, "log")
	fillPeople(t, l, 50)
	_, end := start(t, c)
	until(t, "the batch is there", func() bool { return table.saying("kim@") == 50 })
	end() // without an answer
	if err := errors.Join(accesslog.ErasePersonal(c.LogDir, "kim"), Forget(folder, "kim", l.Size())); err != nil {
		t.Fatal(err)
	}
	s, stop := start(t, c)
	until(t, "what is there is done", func() bool { return table.saying("kim@") == 0 })
	if st := s.States()[0]; st.Forgetting != 1 || st.Next != 0 {
		t.Errorf("%+v", st)
	}
	late, err := l.Get(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	late.Email = "kim@northwind.example" // the earlier try arrives after all
	table.put([]*accesslog.Entry{late}, true)
	close(table.slow)
	until(t, "it is forgotten", func() bool { return s.States()[0].Forgetting == 0 && s.States()[0].Lag == 0 })
	if n := table.saying("kim@"); n != 0 {
		t.Errorf("%d entries have the address", n)
	}
	stop()
}

// What age has removed from the log goes there as well.
func TestForget_Removed(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"), sealed)
	fillPeople(t, l, 800)
	table := &shelf{}
	c := testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "fleet", Sender: table})
	c.LogDir = filepath.Join(dir, "log")
	s, stop := start(t, c)
	until(t, "all is there", func() bool { return s.States()[0].Lag == 0 && s.States()[0].Next > 1600 })
	stop()
	var first uint64
	until(t, "some may go", func() bool {
		list, err := accesslog.Sealed(c.LogDir, 0)
		n, rerr := l.Removable()
		if err == nil && rerr == nil && len(list) > 2 && n >= list[1].First {
			first = list[1].First
		}
		return first > 0
	})
	// Whoever deletes files of the log deletes nothing there.
	list, err := accesslog.Sealed(c.LogDir, 0)
	if err != nil {
		t.Fatal(err)
	}
	oldest, err := os.ReadFile(list[0].Path)
	if err == nil {
		err = os.Remove(list[0].Path)
	}
	if err != nil {
		t.Fatal(err)
	}
	if held, err := accesslog.FirstHeld(c.LogDir); err != nil || held == 0 {
		t.Fatalf("the log begins with %d, %v", held, err)
	}
	s, stop = start(t, c)
	fillPeople(t, l, 1)
	until(t, "delivery goes on", func() bool { return s.States()[0].Lag == 0 })
	stop()
	forged := fmt.Sprintf("ringfence access log removed v1\nfirst %d\nentry %d\n", first, l.Size()-1)
	if err := os.WriteFile(filepath.Join(c.LogDir, "removed"), []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "a forged word is found", func() bool { // once a checkpoint covers the entry
		_, err := accesslog.RemovedBefore(t.Context(), c.LogDir)
		_, tampered := errors.AsType[*accesslog.TamperedError](err)
		return tampered
	})
	if table.trimmed != 0 {
		t.Error("copies of deleted entries were removed")
	}
	if err := errors.Join(os.Remove(filepath.Join(c.LogDir, "removed")), os.WriteFile(list[0].Path, oldest, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := l.Prune(t.Context(), accesslog.Removal{Before: first, Rule: "test", Actor: "operator"}); err != nil {
		t.Fatal(err)
	}
	_, stop = start(t, c)
	until(t, "it is gone there", func() bool { table.mu.Lock(); defer table.mu.Unlock(); return table.trimmed == first })
	stop()
	if _, there := table.rows[first-1]; there || table.rows[first] == "" {
		t.Error("not what was removed")
	}
}
