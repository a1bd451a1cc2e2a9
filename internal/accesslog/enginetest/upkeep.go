package enginetest

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/delivery"
	"github.com/ringfence/ringfence/policy"
)

// A Kept is a table that follows the log.
type Kept interface {
	Shared
	delivery.Keeper
}

const (
	kim = "acc-kim_1"
	ada = "acc-ada"
)

// Upkeep delivers a log to a table that open leads to, for an origin, erases an
// account and removes old entries, and looks what is left.
func Upkeep(t *testing.T, open func(origin string) Kept) {
	dir := t.TempDir()
	l := running(t, filepath.Join(dir, "log"))
	for i := range 400 {
		for _, r := range upkeepRecords(i) {
			if err := l.Append(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := l.Record(t.Context(), &policy.Record{Type: policy.RecordLog, Action: "test"}); err != nil {
		t.Fatal(err)
	}
	other := open("gw-2.example.com/log") // of somebody else, with the same account
	e, err := l.Get(t.Context(), 1)       // after the log's own
	if err == nil {
		err = other.Send(t.Context(), []*accesslog.Entry{e})
	}
	if err != nil {
		t.Fatal(err)
	}
	x := open(Origin)
	folder := filepath.Join(dir, "delivery")
	deliver := func() (*delivery.Service, func()) {
		s, err := delivery.New(delivery.Config{Source: l, Origin: Origin, Dir: folder, LogDir: filepath.Join(dir, "log"), Logger: slog.New(slog.DiscardHandler),
			Destinations: []delivery.Destination{{Name: "fleet", Kind: "table", Sender: x, Batch: 300, Linger: 10 * time.Millisecond}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Run(ctx) }()
		return s, func() { cancel(); <-done }
	}
	s, stop := deliver()
	defer func() { stop() }()
	await(t, s, "everything is delivered", func(st delivery.State) bool { return st.Lag == 0 })
	before := [3]int{finds(t, x, "kim@"), finds(t, x, "Ada@"), finds(t, x, "")}
	if before[0] != 801 || before[1] < 400 {
		t.Fatalf("delivered: %v", before)
	}
	if err := errors.Join(accesslog.ErasePersonal(filepath.Join(dir, "log"), kim), delivery.Forget(folder, kim, l.Size())); err != nil {
		t.Fatal(err)
	}
	await(t, s, "it is forgotten", func(st delivery.State) bool { return st.Forgetting == 0 })
	after := [3]int{finds(t, x, "kim@"), finds(t, x, "Ada@"), finds(t, x, "")}
	if after != [3]int{1, before[1], before[2]} { // the other log's is not ours
		t.Errorf("%v are found, of %v", after, before)
	}
	for _, n := range []uint64{1, 2, 3} {
		e, err := x.Entry(t.Context(), Origin, n)
		if own, lerr := l.Get(t.Context(), n); err != nil || lerr != nil || string(e.Payload) != string(own.Payload) {
			t.Errorf("entry %d: %v, %v", n, err, lerr)
		}
	}
	stop()
	var first uint64
	for end := time.Now().Add(15 * time.Second); first == 0; time.Sleep(5 * time.Millisecond) {
		list, err := accesslog.Sealed(filepath.Join(dir, "log"), 0)
		n, rerr := l.Removable()
		if err == nil && rerr == nil && len(list) > 1 && n >= list[1].First {
			first = list[1].First
		}
		if time.Now().After(end) {
			t.Fatal("no segment was sealed")
		}
	}
	if err := l.Prune(t.Context(), accesslog.Removal{Before: first, Rule: "test", Actor: "operator"}); err != nil {
		t.Fatal(err)
	}
	x = open(Origin) // a delivery that ends closes its own
	s, stop = deliver()
	await(t, s, "they are gone", func(st delivery.State) bool {
		list, err := x.Holdings(t.Context())
		return err == nil && len(list) == 2 && list[0].First == first && st.Lag == 0
	})
	list, err := x.Holdings(t.Context())
	if err != nil || list[0].Missing() != 0 || list[0].Last != l.Size()-1 || list[1].Entries != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

// upkeepRecords are what an account did, what was done to it, and something of another.
func upkeepRecords(i int) []*policy.Record {
	path := "/claims/" + string(rune('a'+i%26))
	return []*policy.Record{
		{Type: policy.RecordRequest, Account: kim, Email: "kim@vendor.example", SourceIP: "203.0.113.9", UserAgent: "Firefox", Path: path, Effect: "deny", Reasons: []string{"outside_hours"}},
		{Type: policy.RecordAdmin, Action: "account.update", Actor: ada, Email: "Ada@example.com", SourceIP: "198.51.100.7", Object: "account:kim@vendor.example",
			Detail: map[string]string{accesslog.AboutAccount: kim, "name": "Kim Example"}},
		{Type: policy.RecordRequest, Account: "acc-kimX1", Email: "lee@vendor.example", SourceIP: "203.0.113.10", Path: path, Effect: "allow"},
	}
}

func running(t *testing.T, dir string) *accesslog.Log {
	t.Helper()
	key, _, err := accesslog.GenerateKey(Origin)
	if err != nil {
		t.Fatal(err)
	}
	l, err := accesslog.Open(t.Context(), accesslog.Config{Dir: dir, Key: key, Node: "gw-1", SegmentSize: 64 << 10, SealPersonal: true, CheckpointEvery: 20 * time.Millisecond,
		CommitDeadline: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- l.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), <-ran); err != nil {
			t.Error(err)
		}
	})
	return l
}

func await(t *testing.T, s *delivery.Service, what string, ok func(delivery.State) bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(s.States()[0]); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s: %+v", what, s.States()[0])
		}
	}
}

// finds counts the entries with a text anywhere, in what is searched and in what is kept.
func finds(t *testing.T, x Kept, text string) int {
	t.Helper()
	r := query.Request{}
	if text != "" {
		r.Where = query.Anywhere{Text: text}
	}
	n, err := x.Count(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
