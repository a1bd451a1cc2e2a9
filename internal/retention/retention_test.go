package retention

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

const testOrigin = "gate.test/gw1"

// A bench is a log whose entries are of three times: cluster a, then b, then
// account kim under engagement audit, each filling some segments.
type bench struct {
	t      *testing.T
	log    *accesslog.Log
	dir    string
	vkey   string
	now    time.Time
	held   Held
	taken  uint64
	by     string
	starts [3]uint64 // the first segments that hold nothing of the time before
	mixed  uint64    // the one before starts[1], of the first two times
}

const day = 24 * time.Hour

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchAt(t, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
}

func newBenchAt(t *testing.T, begin time.Time) *bench {
	t.Helper()
	b := &bench{t: t, dir: filepath.Join(t.TempDir(), "log"), now: begin, taken: 1 << 62}
	skey, vkey, err := accesslog.GenerateKey(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	b.vkey = vkey
	b.log, err = accesslog.Open(t.Context(), accesslog.Config{Dir: b.dir, Key: skey, SegmentSize: 64 << 10, CommitDeadline: time.Minute,
		CheckpointEvery: 5 * time.Millisecond, Now: func() time.Time { return b.now }, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- b.log.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := errors.Join(b.log.Close(), <-done); err != nil {
			t.Error(err)
		}
	})
	for i, r := range []policy.Record{
		{Cluster: "a", Classification: "public"},
		{Cluster: "b", Classification: "restricted"},
		{Cluster: "a", Classification: "public", Account: "kim", Engagement: "audit"},
	} {
		r.Type, r.Effect, r.Path = policy.RecordRequest, "deny", "/"+strings.Repeat("x", 300)
		for n := range 500 {
			r.RequestID = fmt.Sprintf("r-%d-%d", i, n)
			r.Time = b.now
			if _, err := b.log.Record(t.Context(), &r); err != nil {
				t.Fatal(err)
			}
		}
		b.now = b.now.Add(10 * day)
	}
	b.wait("everything is sealed and signed", func() bool {
		n, err := b.log.Removable()
		until, serr := accesslog.SealedUntil(b.dir)
		return err == nil && serr == nil && n == until && until > 1200
	})
	at := 0
	for _, s := range b.sealed() {
		if e, err := accesslog.Get(t.Context(), b.dir, s.First); err != nil {
			t.Fatal(err)
		} else if strings.HasPrefix(e.RequestID, fmt.Sprintf("r-%d-", at)) {
			b.starts[at] = s.First
			if at++; at == 3 {
				break
			}
		}
		if at == 1 {
			b.mixed = s.First
		}
	}
	return b
}

func (b *bench) wait(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (b *bench) sealed() []accesslog.SealedSegment {
	b.t.Helper()
	s, err := accesslog.Sealed(b.dir, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) service(r Rules, a Archive) *Service {
	b.t.Helper()
	s, err := New(Config{Log: b.log, LogDir: b.dir, Rules: r, Archive: a, Now: func() time.Time { return b.now }, Logger: slog.New(slog.DiscardHandler),
		Held:  func(context.Context) (Held, error) { return b.held, nil },
		Taken: func() (uint64, string) { return b.taken, b.by }})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// plan is what would go so many days after the last entry.
func (b *bench) plan(r Rules, days int) Plan {
	b.t.Helper()
	was := b.now
	defer func() { b.now = was }()
	b.now = b.now.Add(time.Duration(days-10) * day)
	p, err := b.service(r, nil).Plan(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// TestPlan_LongestRuleWins: a segment stays as long as the longest rule of any
// entry in it; a cluster's rule stands before its classification's.
func TestPlan_LongestRuleWins(t *testing.T) {
	b := newBench(t)
	all := b.sealed()
	last := all[len(all)-1]
	for _, c := range []struct {
		what   string
		rules  Rules
		days   int // after the last entry
		before uint64
		says   string
	}{
		{"nothing is old", Rules{Days: 40}, 15, 0, "at least"},
		{"the default", Rules{Days: 40}, 41, last.First + last.Entries, ""},
		{"the first only", Rules{Days: 40}, 25, b.mixed, "at least"},
		{"a classification keeps longer", Rules{Days: 40, Classifications: map[string]int{"restricted": 90}}, 41, b.mixed, "classification restricted 90 days"},
		{"its cluster's rule is shorter", Rules{Days: 40, Classifications: map[string]int{"restricted": 90}, Clusters: map[string]int{"b": 35}}, 41, last.First + last.Entries, ""},
		{"a cluster for ever", Rules{Days: 40, Clusters: map[string]int{"b": 0}}, 4000, b.mixed, "cluster b for ever"},
		{"a shorter rule beside the log's own entries", Rules{Days: 90, Clusters: map[string]int{"a": 40}}, 60, 0, "default 90 days"},
		{"all for ever", Rules{}, 40000, 0, "for ever"},
	} {
		p := b.plan(c.rules, c.days)
		if p.Before != c.before || c.says != "" && (p.Oldest == nil || p.Longest != c.says) || c.says == "" && p.Oldest != nil {
			t.Errorf("%s: up to %d, want %d; then %+v %q %+v", c.what, p.Before, c.before, p.Oldest, p.Longest, p.Kept)
		}
	}
}

// TestPlan_Kept: holds, deliveries and the checkpoint keep what they need, and all behind it.
func TestPlan_Kept(t *testing.T) {
	b := newBench(t)
	for what, held := range map[Keeper]Held{
		{KeptByAccount, "kim"}:      {Accounts: map[string]bool{"kim": true, "lee": true}},
		{KeptByEngagement, "audit"}: {Engagements: map[string]bool{"audit": true}},
	} {
		b.held = held
		if p := b.plan(Rules{Days: 40}, 400); p.Kept != what || p.Before == 0 || p.Before > b.starts[2] {
			t.Errorf("%+v: up to %d, %+v", what, p.Before, p.Kept)
		}
	}
	b.held = Held{Accounts: map[string]bool{"lee": true}}
	b.taken, b.by = b.starts[1]+1, "siem"
	if p := b.plan(Rules{Days: 40}, 400); p.Kept != (Keeper{KeptByTaker, "siem"}) || p.Before != b.starts[1] {
		t.Errorf("a delivery: up to %d, %+v", p.Before, p.Kept)
	}
}

// TestApply: what goes is archived and proven first, and can be fetched back.
func TestApply(t *testing.T) {
	b := newBench(t)
	b.now = b.now.Add(15 * day) // the first of three times is over
	all := b.sealed()
	first, err := os.ReadFile(all[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	kept := NewFolder(folder, testOrigin)
	s := b.service(Rules{Days: 40}, kept)
	p, err := s.Apply(t.Context(), "ada")
	if err != nil || p.Before == 0 || len(p.Due) == 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	if now := b.sealed(); now[0].First != p.Before {
		t.Errorf("the log begins with %d, want %d", now[0].First, p.Before)
	}
	if st := s.State(); st.Removed != p.Before || st.Fault != "" || st.At.IsZero() {
		t.Errorf("state: %+v", st)
	}
	got, seg, err := Fetch(t.Context(), kept, b.dir, 0)
	if err != nil || !bytes.Equal(got, first) || seg.Entries != all[0].Entries {
		t.Fatalf("fetched %+v: %v", seg, err)
	}
	if rep, err := accesslog.Verify(t.Context(), b.dir, b.vkey, nil); err != nil || rep.Removed != p.Before {
		t.Errorf("%+v, %v", rep, err)
	}
	again, err := s.Apply(t.Context(), "ada")
	if err != nil || len(again.Due) > 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	to := filepath.Join(t.TempDir(), "restored")
	for _, d := range p.Due {
		content, seg, err := Fetch(t.Context(), kept, b.dir, d.First)
		if err != nil {
			t.Fatal(err)
		}
		if err := accesslog.Unpack(to, seg, content); err != nil {
			t.Fatal(err)
		}
	}
	n := uint64(0)
	if err := accesslog.Scan(t.Context(), to, 0, 1<<40, func(e *accesslog.Entry) error {
		if e.Index != n {
			t.Fatalf("entry %d where %d is due", e.Index, n)
		}
		n++
		return nil
	}); err != nil || n != p.Before {
		t.Errorf("%d entries were restored: %v", n, err)
	}
}

// TestFetch_Tampered: no byte of an archived segment can be changed, and none
// of another log's or place is taken.
func TestFetch_Tampered(t *testing.T) {
	b := newBench(t)
	b.now = b.now.Add(15 * day)
	kept := NewFolder(t.TempDir(), testOrigin)
	p, err := b.service(Rules{Days: 40}, kept).Apply(t.Context(), "ada")
	if err != nil || len(p.Due) < 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	path := filepath.Join(kept.at, NameOf(0))
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	step := max(1, len(good)/150)
	for at := 4096; at < len(good); at += step {
		bad := bytes.Clone(good)
		bad[at] ^= 0x10
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Fetch(t.Context(), kept, b.dir, 0); err == nil {
			t.Errorf("byte %d was changed unseen", at)
		}
	}
	for what, bad := range map[string][]byte{"cut": good[:len(good)/2], "empty": nil} {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Fetch(t.Context(), kept, b.dir, 0); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	second, err := os.ReadFile(filepath.Join(kept.at, NameOf(p.Due[1].First)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, second, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Fetch(t.Context(), kept, b.dir, 0); err == nil {
		t.Error("another segment was taken for it")
	}
}

// spoiled is an archive that fails in some way.
type spoiled struct {
	Archive
	put, get error
	change   bool
}

func (s spoiled) Put(ctx context.Context, name string, b []byte) error {
	return errors.Join(s.put, s.Archive.Put(ctx, name, b))
}

func (s spoiled) Get(ctx context.Context, name string) ([]byte, error) {
	b, err := s.Archive.Get(ctx, name)
	if s.change && err == nil {
		b[len(b)/2]++
	}
	return b, errors.Join(err, s.get)
}

// TestApply_ArchiveFails: nothing goes that is not safely elsewhere.
func TestApply_ArchiveFails(t *testing.T) {
	b := newBench(t)
	b.now = b.now.Add(400 * day)
	good := NewFolder(t.TempDir(), testOrigin)
	for what, a := range map[string]Archive{
		"cannot be written": spoiled{Archive: good, put: errors.New("no")},
		"cannot be read":    spoiled{Archive: good, get: errors.New("no")},
		"changes a byte":    spoiled{Archive: good, change: true},
		"is not there":      NewFolder(filepath.Join(t.TempDir(), "unmounted"), testOrigin),
	} {
		s := b.service(Rules{Days: 40}, a)
		if _, err := s.Apply(t.Context(), "ada"); err == nil || s.State().Fault == "" {
			t.Errorf("an archive that %s: %v, %+v", what, err, s.State())
		}
		if b.sealed()[0].First != 0 {
			t.Fatalf("an archive that %s: entries are gone", what)
		}
	}
	if _, err := os.Stat(filepath.Join(good.dir, "unmounted")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestApply_ArchiveHasAnother: what an archive has of a log that was given up
// stays, also while the archive does not answer.
func TestApply_ArchiveHasAnother(t *testing.T) {
	b := newBench(t)
	b.now = b.now.Add(400 * day)
	kept, name, another := NewFolder(t.TempDir(), testOrigin), NameOf(0), []byte("of another log")
	if err := kept.Put(t.Context(), name, another); err != nil {
		t.Fatal(err)
	}
	for what, a := range map[string]Archive{"answers": kept, "does not answer": spoiled{Archive: kept, get: errors.New("busy")}} {
		if _, err := b.service(Rules{Days: 40}, a).Apply(t.Context(), "ada"); err == nil {
			t.Errorf("an archive that %s took it", what)
		}
		if got, err := kept.Get(t.Context(), name); err != nil || !bytes.Equal(got, another) {
			t.Errorf("an archive that %s has %d bytes now, %v", what, len(got), err)
		}
	}
}

// fixedLog counts how often it is asked.
type fixedLog struct {
	asked atomic.Int64
	fails atomic.Bool
}

func (l *fixedLog) Removable() (uint64, error) {
	l.asked.Add(1)
	if l.fails.Load() {
		return 0, errors.New("the disk is gone")
	}
	return 0, nil
}

func (*fixedLog) Prune(context.Context, accesslog.Removal) error { return errors.New("nothing is due") }

// TestRun_Daily: a minute after the start, then once a day, and hourly while it fails.
func TestRun_Daily(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(b.dir)); err != nil {
		t.Fatal(err)
	}
	now := b.now
	synctest.Test(t, func(t *testing.T) {
		log := &fixedLog{}
		s, err := New(Config{Log: log, LogDir: dir, Rules: Rules{Days: 4000}, Now: func() time.Time { return now },
			Held: func(context.Context) (Held, error) { return Held{}, nil }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		for i, wait := range []time.Duration{59 * time.Second, 2 * time.Second, 23 * time.Hour, time.Hour} {
			time.Sleep(wait)
			synctest.Wait()
			if want := []int64{0, 1, 1, 2}[i]; log.asked.Load() != want {
				t.Errorf("look %d: asked %d times, want %d", i, log.asked.Load(), want)
			}
		}
		log.fails.Store(true)
		for i, wait := range []time.Duration{24 * time.Hour, time.Hour, time.Hour, 23 * time.Hour, time.Hour} {
			if i == 2 {
				log.fails.Store(false)
			}
			time.Sleep(wait)
			synctest.Wait()
			if want := []int64{3, 4, 5, 5, 6}[i]; log.asked.Load() != want || (s.State().Fault != "") != (i < 2) {
				t.Errorf("look %d while it fails: asked %d times, want %d; %q", i, log.asked.Load(), want, s.State().Fault)
			}
		}
		stop()
		<-done
	})
}

// TestWaits: nothing is removed until clock and rules have been as they are for
// a week, whoever asks; and then it is.
func TestWaits(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(b.dir)); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var ahead, drift, pruned atomic.Int64 // the first two are durations
		memory := filepath.Join(t.TempDir(), "retention")
		start := func(r Rules) (*Service, func()) {
			s, err := New(Config{Log: &countingLog{pruned: &pruned, Log: b.log}, LogDir: dir, Rules: r, Memory: memory, Drift: func() time.Duration { return time.Duration(drift.Load()) },
				Now:  func() time.Time { return b.now.Add(time.Since(began) + time.Duration(ahead.Load())) },
				Held: func(context.Context) (Held, error) { return Held{}, nil }, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			return s, func() { stop(); <-done }
		}
		long, short := Rules{Days: 396}, Rules{Days: 40}
		after := func(s *Service, d time.Duration, what, waits string, want int64) {
			t.Helper()
			time.Sleep(d)
			s.Ask("ada")
			synctest.Wait()
			if st := s.State(); st.Waits.Why != waits || st.Fault != "" || pruned.Load() != want {
				t.Errorf("%s: waits for %+v, %d removals, want %q, %d; %s", what, st.Waits, pruned.Load(), waits, want, st.Fault)
			}
		}
		s, stop := start(long)
		after(s, 2*time.Minute, "the first look", WaitsFirst, 0)
		after(s, 8*day, "a week later", "", 0)
		ahead.Add(int64(400 * day))
		after(s, time.Minute, "a jump ahead", WaitsClock, 0)
		ahead.Add(-int64(400 * day))
		after(s, 2*day, "the clock is set right", WaitsClock, 0)
		after(s, 8*day, "a week later", "", 0)
		stop()
		ahead.Add(int64(400 * day))
		s, stop = start(long)
		after(s, 2*time.Minute, "a jump between two processes", WaitsClock, 0)
		for range 6 { // neither do further steps and starts shorten it
			ahead.Add(int64(2 * day))
			after(s, time.Hour, "a step each hour", WaitsClock, 0)
		}
		stop()
		ahead.Add(-int64(412 * day))
		s, stop = start(long)
		after(s, 8*day, "set right", "", 0)
		stop()
		s, stop = start(short)
		after(s, 2*time.Minute, "a slip in the rules", WaitsRules, 0)
		after(s, 6*day, "not a week later", WaitsRules, 0)
		drift.Store(-int64(2 * time.Hour))
		after(s, 2*day, "the clock is off", WaitsDrift, 0)
		drift.Store(int64(time.Second))
		after(s, time.Minute, "settled", "", 1)
		stop()
	})
}

// TestWaits_Confirm: who says that clock and rules are right need not wait.
func TestWaits_Confirm(t *testing.T) {
	b := newBench(t)
	b.now = b.now.Add(15 * day)
	s := b.service(Rules{Days: 40}, nil)
	s.cfg.Memory = filepath.Join(t.TempDir(), "retention")
	for _, damage := range []string{"", "{", "{}"} {
		if err := os.WriteFile(s.cfg.Memory, []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := s.Apply(t.Context(), "ada"); err != nil || len(p.Due) == 0 || s.State().Waits.Why != WaitsFirst || b.sealed()[0].First != 0 {
			t.Fatalf("with %q: %+v, %v", damage, s.State(), err)
		}
	}
	if err := s.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Apply(t.Context(), "ada"); err != nil || b.sealed()[0].First != p.Before || p.Before == 0 {
		t.Errorf("%+v, %v", s.State(), err)
	}
}

// countingLog removes nothing and counts how often it was to.
type countingLog struct {
	Log
	pruned *atomic.Int64
}

func (l *countingLog) Prune(context.Context, accesslog.Removal) error { l.pruned.Add(1); return nil }

// TestApply_HoldMeanwhile: a hold that is placed while the log is removing, up
// to the moment before the first file goes, keeps what it is for.
func TestApply_HoldMeanwhile(t *testing.T) {
	b := newBench(t)
	b.now = b.now.Add(400 * day)
	size := uint64(0)
	for _, at := range []int{4, 5} { // the first plan, the one after copying, and two in Prune
		s, asked := b.service(Rules{Days: 40}, nil), 0
		s.cfg.Held = func(context.Context) (Held, error) {
			if asked++; asked < at-1 {
				return Held{}, nil
			}
			return Held{Accounts: map[string]bool{"kim": true}}, nil
		}
		size = b.log.Size()
		if _, err := s.Apply(t.Context(), "ada"); !errors.Is(err, errKept) {
			t.Errorf("a hold at look %d: %v", at-1, err)
		}
		if b.sealed()[0].First != 0 {
			t.Fatalf("a hold at look %d: entries are gone", at-1)
		}
		if recorded := b.log.Size() > size; recorded != (at == 5) {
			t.Errorf("a hold at look %d: recorded: %t", at-1, recorded)
		}
	}
	b.wait("signed", func() bool { n, err := accesslog.CheckpointSize(b.log.Checkpoint()); return err == nil && n > size })
	if rep, err := accesslog.Verify(t.Context(), b.dir, b.vkey, nil); err != nil || rep.Removed != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

// TestApply_ArchiveOfAnotherLog: what an archive keeps of a log that was given
// up, which had the same name and numbers, is not written over.
func TestApply_ArchiveOfAnotherLog(t *testing.T) {
	kept := NewFolder(t.TempDir(), testOrigin)
	old := newBench(t)
	old.now = old.now.Add(15 * day)
	if p, err := old.service(Rules{Days: 40}, kept).Apply(t.Context(), "ada"); err != nil || len(p.Due) == 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	path := filepath.Join(kept.at, NameOf(0))
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b := newBenchAt(t, old.now)
	b.now = b.now.Add(15 * day)
	s := b.service(Rules{Days: 40}, kept)
	if _, err := s.Apply(t.Context(), "ada"); err == nil || b.sealed()[0].First != 0 {
		t.Errorf("%v; the log begins with %d", err, b.sealed()[0].First)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, was) {
		t.Errorf("the archive has lost what it kept: %v", err)
	}
	if err := os.WriteFile(path, was[:len(was)/2], 0o600); err != nil { // nor is what cannot be told
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), "ada"); err == nil {
		t.Error("a torn copy was written over")
	}
}
