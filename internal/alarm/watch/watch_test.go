package watch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/policy"
)

// start is a Monday morning.
var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// memoryLog is a log whose entries come as tests add them.
type memoryLog struct {
	mu      sync.Mutex
	entries []*accesslog.Entry
	grown   chan struct{}
}

func newLog() *memoryLog { return &memoryLog{grown: make(chan struct{})} }

func (l *memoryLog) add(r policy.Record) *accesslog.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &accesslog.Entry{Index: uint64(len(l.entries)), Record: r}
	e.Payload = fmt.Appendf(nil, "%d %v", e.Index, r)
	l.entries = append(l.entries, e)
	close(l.grown)
	l.grown = make(chan struct{})
	return e
}

func (l *memoryLog) Size() uint64 { l.mu.Lock(); defer l.mu.Unlock(); return uint64(len(l.entries)) }

func (l *memoryLog) Get(_ context.Context, i uint64) (*accesslog.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i >= uint64(len(l.entries)) {
		return nil, accesslog.ErrNotFound
	}
	return l.entries[i], nil
}

func (l *memoryLog) Subscribe(ctx context.Context, from uint64) iter.Seq2[*accesslog.Entry, error] {
	return func(yield func(*accesslog.Entry, error) bool) {
		for i := from; ; i++ {
			l.mu.Lock()
			for i >= uint64(len(l.entries)) {
				grown := l.grown
				l.mu.Unlock()
				select {
				case <-ctx.Done():
					return
				case <-grown:
				}
				l.mu.Lock()
			}
			e := l.entries[i]
			l.mu.Unlock()
			if !yield(e, nil) {
				return
			}
		}
	}
}

// memoryKeeper is strict: an alarm that is raised twice fails the test unless
// a start has read its entry again.
type memoryKeeper struct {
	mu     sync.Mutex
	rules  []alarm.Rule // every revision
	state  []byte
	alarms map[string]alarm.Raised
	order  []string
	copies int
	fail   error
	raised chan struct{}
}

func newKeeper() *memoryKeeper {
	return &memoryKeeper{alarms: map[string]alarm.Raised{}, raised: make(chan struct{}, 1000)}
}

func (k *memoryKeeper) AlarmRules(context.Context) ([]alarm.Rule, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	newest := map[string]alarm.Rule{}
	for _, r := range append(alarm.Defaults(), k.rules...) {
		newest[r.ID] = r
	}
	var out []alarm.Rule
	for _, r := range newest {
		out = append(out, r)
	}
	return out, k.fail
}

func (k *memoryKeeper) AlarmRule(_ context.Context, id string, revision int64) (alarm.Rule, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range append(alarm.Defaults(), k.rules...) {
		if r.ID == id && r.Revision == revision {
			return r, k.fail
		}
	}
	return alarm.Rule{}, alarm.ErrNotFound
}

func (k *memoryKeeper) AlarmState(context.Context) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state, k.fail
}

func (k *memoryKeeper) SaveAlarmState(_ context.Context, b []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail == nil {
		k.state = b
	}
	return k.fail
}

func (k *memoryKeeper) Raise(_ context.Context, all []alarm.Raised, state []byte) (n int, _ error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return 0, k.fail
	}
	for _, a := range all {
		if _, twice := k.alarms[a.ID]; twice {
			k.copies++
			continue
		}
		k.alarms[a.ID], k.order, n = a, append(k.order, a.ID), n+1
		k.raised <- struct{}{}
	}
	if state != nil {
		k.state = state
	}
	return n, nil
}

// kinds are those of the alarms raised so far.
func (k *memoryKeeper) kinds() (out []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range k.order {
		out = append(out, string(k.alarms[id].Kind))
	}
	return out
}

// with are entries as a day of work makes them.
type scene struct {
	x     *engine
	next  uint64
	found []alarm.Raised
}

func newScene(t *testing.T, rules ...alarm.Rule) *scene {
	t.Helper()
	s := &scene{x: newEngine(newState("test"))}
	if rules == nil {
		rules = alarm.Defaults()
	}
	for _, r := range rules {
		if err := s.x.set(r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *scene) see(r policy.Record) {
	e := &accesslog.Entry{Index: s.next, Record: r}
	e.Payload = fmt.Appendf(nil, "%d %s", s.next, r.Time)
	s.next++
	s.found = append(s.found, s.x.observe(e)...)
}

// took returns the alarms of a kind since the last call.
func (s *scene) took(k alarm.Kind) (out []alarm.Raised) {
	for _, a := range s.found {
		if a.Kind == k {
			out = append(out, a)
		}
	}
	s.found = nil
	return out
}

func request(at time.Time, effect string) policy.Record {
	return policy.Record{Type: policy.RecordRequest, Time: at, Account: "kim", Vendor: "acme", Cluster: "claims", Effect: effect, SourceIP: "203.0.113.9", Path: "/reports"}
}

func answer(at time.Time, bytes int64) policy.Record {
	return policy.Record{Type: policy.RecordOutcome, Time: at, Account: "kim", Vendor: "acme", Cluster: "claims", BytesOut: &bytes, Status: 200}
}

func defaultRule(t *testing.T, k alarm.Kind, change func(*alarm.Rule)) alarm.Rule {
	t.Helper()
	r, ok := alarm.Default(alarm.DefaultID(k))
	if !ok {
		t.Fatalf("%s has no rule", k)
	}
	if change != nil {
		change(&r)
	}
	return r
}

func TestDenials(t *testing.T) {
	s := newScene(t, defaultRule(t, alarm.Denials, nil))
	for i := range 19 {
		s.see(request(start.Add(time.Duration(i)*time.Second), "deny"))
	}
	if got := s.took(alarm.Denials); len(got) != 0 {
		t.Fatalf("19 denials raise %v", got)
	}
	s.see(request(start.Add(20*time.Second), "allow"))
	s.see(request(start.Add(20*time.Second), "challenge"))
	s.see(request(start.Add(21*time.Second), "deny"))
	got := s.took(alarm.Denials)
	if len(got) != 1 || got[0].Facts["count"] != "20" || got[0].Account != "kim" || *got[0].Entry != 21 || !slices.Equal(got[0].To, []string{alarm.OwnerReceiver}) {
		t.Fatalf("20 denials raise %+v", got)
	}
	// The same is not raised again within the hour, and is afterwards.
	for i := range 40 {
		s.see(request(start.Add(time.Minute+time.Duration(i)*time.Second), "deny"))
	}
	if got := s.took(alarm.Denials); len(got) != 0 {
		t.Errorf("raised again at once: %+v", got)
	}
	for i := range 20 {
		s.see(request(start.Add(2*time.Hour+time.Duration(i)*time.Second), "deny"))
	}
	if got := s.took(alarm.Denials); len(got) != 1 {
		t.Errorf("two hours later: %+v", got)
	}
	// Slow ones are none, and of strangers the address counts.
	for i := range 100 {
		s.see(request(start.Add(5*time.Hour+time.Duration(i)*time.Minute), "deny"))
	}
	if got := s.took(alarm.Denials); len(got) != 0 {
		t.Errorf("one a minute: %+v", got)
	}
	for i := range 20 {
		r := request(start.Add(10*time.Hour+time.Duration(i)*time.Second), "deny")
		r.Account, r.Vendor = "", ""
		s.see(r)
	}
	if got := s.took(alarm.Denials); len(got) != 1 || got[0].About != "203.0.113.9" || len(got[0].To) != 0 {
		t.Errorf("of a stranger: %+v", got)
	}
}

func TestScope(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*alarm.Rule)
		want   int
	}{
		{"all", nil, 1}, {"off", func(r *alarm.Rule) { r.On = false }, 0}, {"cluster", func(r *alarm.Rule) { r.Clusters = []string{"claims"} }, 1},
		{"other cluster", func(r *alarm.Rule) { r.Clusters = []string{"maps"} }, 0}, {"other vendor", func(r *alarm.Rule) { r.Vendors = []string{"delta"} }, 0},
		{"account", func(r *alarm.Rule) { r.Accounts = []string{"lee", "kim"} }, 1}, {"other account", func(r *alarm.Rule) { r.Accounts = []string{"lee"} }, 0},
	} {
		s := newScene(t, defaultRule(t, alarm.Denials, c.change))
		for range 20 {
			s.see(request(start, "deny"))
		}
		if got := s.took(alarm.Denials); len(got) != c.want {
			t.Errorf("%s: %d alarms, want %d", c.name, len(got), c.want)
		}
	}
}

func TestNewCluster(t *testing.T) {
	s := newScene(t, defaultRule(t, alarm.NewCluster, nil))
	s.see(request(start, "deny"))
	if got := s.took(alarm.NewCluster); len(got) != 0 {
		t.Errorf("a denied request uses nothing: %v", got)
	}
	s.see(request(start, "allow"))
	s.see(request(start.Add(30*24*time.Hour), "allow"))
	if got := s.took(alarm.NewCluster); len(got) != 1 || got[0].Cluster != "claims" {
		t.Errorf("raised %+v", got)
	}
	other := request(start.Add(31*24*time.Hour), "allow")
	other.Cluster = "maps"
	s.see(other)
	if got := s.took(alarm.NewCluster); len(got) != 1 || got[0].Cluster != "maps" {
		t.Errorf("raised %+v", got)
	}
}

// weeks has kim work for some weeks, from nine to five on working days.
func (s *scene) weeks(n, requests int, bytes int64) time.Time {
	for d := range n * 7 {
		day := start.AddDate(0, 0, d)
		if w := day.Weekday(); w == time.Saturday || w == time.Sunday {
			continue
		}
		for i := range requests {
			at := day.Add(time.Duration(i) * 8 * time.Hour / time.Duration(requests))
			s.see(request(at, "allow"))
			s.see(answer(at, bytes/int64(requests)))
		}
	}
	return start.AddDate(0, 0, n*7) // a Monday
}

func TestUnusualHour(t *testing.T) {
	s := newScene(t, defaultRule(t, alarm.UnusualHour, nil))
	s.see(request(start.Add(-7*time.Hour), "allow")) // of nobody's past
	monday := s.weeks(3, 16, 1000)
	if got := s.took(alarm.UnusualHour); len(got) != 0 {
		t.Fatalf("in its usual weeks: %+v", got)
	}
	s.see(request(monday.Add(-time.Hour), "allow")) // eight o'clock is near nine
	if got := s.took(alarm.UnusualHour); len(got) != 0 {
		t.Errorf("an hour early: %+v", got)
	}
	s.see(request(monday.Add(14*time.Hour), "allow")) // 23:00
	got := s.took(alarm.UnusualHour)
	if len(got) != 1 || got[0].Facts["hour"] != "23" || got[0].Facts["days"] != "15" {
		t.Fatalf("late in the evening: %+v", got)
	}
	s.see(request(monday.Add(15*time.Hour+10*time.Minute), "allow")) // on it goes, past midnight
	if got := s.took(alarm.UnusualHour); len(got) != 0 {
		t.Errorf("it goes on: %+v", got)
	}
	s.see(request(monday.AddDate(0, 0, 5).Add(time.Hour), "allow")) // Saturday at ten
	if got := s.took(alarm.UnusualHour); len(got) != 1 {
		t.Errorf("on a Saturday: %+v", got)
	}
	// Who is new has no usual hours.
	fresh := request(monday.AddDate(0, 0, 6).Add(-6*time.Hour), "allow")
	fresh.Account = "lee"
	s.see(fresh)
	if got := s.took(alarm.UnusualHour); len(got) != 0 {
		t.Errorf("somebody new: %+v", got)
	}
}

func TestVolume(t *testing.T) {
	s := newScene(t, defaultRule(t, alarm.Volume, func(r *alarm.Rule) { r.Floor, r.FloorMB = 50, 10 }))
	monday := s.weeks(2, 20, 4_000_000)
	if got := s.took(alarm.Volume); len(got) != 0 {
		t.Fatalf("in its usual weeks: %+v", got)
	}
	for i := range 100 {
		s.see(request(monday.Add(time.Duration(i)*time.Minute), "allow"))
	}
	if got := s.took(alarm.Volume); len(got) != 0 {
		t.Errorf("five times a usual day: %+v", got)
	}
	s.see(request(monday.Add(2*time.Hour), "allow"))
	got := s.took(alarm.Volume)
	if len(got) != 1 || got[0].Facts["what"] != "requests" || got[0].Facts["requests"] != "101" || got[0].Facts["usual_requests"] != "20" {
		t.Fatalf("more than that: %+v", got)
	}
	tuesday := monday.AddDate(0, 0, 1)
	s.see(answer(tuesday, 19_000_000))
	if got := s.took(alarm.Volume); len(got) != 0 {
		t.Errorf("nearly five times as much: %+v", got)
	}
	s.see(answer(tuesday, 2_000_000))
	if got := s.took(alarm.Volume); len(got) != 1 || got[0].Facts["what"] != "bytes" || got[0].Facts["usual_bytes"] != "4000000" {
		t.Errorf("more: %+v", got)
	}
}

func TestWrongCodes(t *testing.T) {
	s := newScene(t, defaultRule(t, alarm.WrongCodes, nil))
	fail := func(at time.Time, action, account string) {
		s.see(policy.Record{Type: policy.RecordLogin, Time: at, Action: action, Result: "bad_credentials", Account: account, Vendor: "acme"})
	}
	for i := range 10 { // wrong passwords are another matter
		fail(start.Add(time.Duration(i)*time.Second), "password.failed", "kim")
		fail(start.Add(time.Duration(i)*time.Second), "totp.failed", "")
	}
	fail(start, "totp.failed", "kim")
	fail(start.Add(time.Minute), "recovery.failed", "kim")
	fail(start.Add(time.Minute), "totp.failed", "lee")
	if got := s.took(alarm.WrongCodes); len(got) != 0 {
		t.Fatalf("two codes: %+v", got)
	}
	fail(start.Add(2*time.Minute), "webauthn.failed", "kim")
	if got := s.took(alarm.WrongCodes); len(got) != 1 || got[0].Account != "kim" || got[0].Severity != alarm.High {
		t.Errorf("three codes: %+v", got)
	}
}

func TestEgress(t *testing.T) {
	s := newScene(t, defaultRule(t, alarm.Egress, nil))
	s.see(answer(start, 5_000_000_000)) // nothing bounds it
	r := request(start, "allow")
	r.Obligations = &policy.Obligations{EgressBudget: 10_000_000_000}
	s.see(r)
	s.see(answer(start.Add(time.Minute), 2_900_000_000))
	if got := s.took(alarm.Egress); len(got) != 0 {
		t.Fatalf("79 %%: %+v", got)
	}
	s.see(answer(start.Add(2*time.Minute), 150_000_000))
	if got := s.took(alarm.Egress); len(got) != 1 || got[0].Facts["percent"] != "80" || got[0].Facts["budget"] != "10000000000" {
		t.Fatalf("80 %%: %+v", got)
	}
	s.see(answer(start.Add(3*time.Minute), 150_000_000))
	s.see(answer(start.Add(24*time.Hour), 7_000_000_000)) // another day begins at nothing
	if got := s.took(alarm.Egress); len(got) != 0 {
		t.Errorf("again: %+v", got)
	}
	s.see(answer(start.Add(25*time.Hour), 1_500_000_000))
	if got := s.took(alarm.Egress); len(got) != 1 {
		t.Errorf("the next day: %+v", got)
	}
}

func TestPoliciesAndTrouble(t *testing.T) {
	for _, c := range []struct {
		name string
		r    policy.Record
		want alarm.Kind
	}{
		{"rolled back", policy.Record{Type: policy.RecordPolicy, Action: "policy.rollback_alone", Result: "ok", Object: "policy:3"}, alarm.PolicyAlone},
		{"published alone", policy.Record{Type: policy.RecordPolicy, Action: "policy.publish", Result: "ok", Detail: map[string]string{"alone": "yes"}}, alarm.PolicyAlone},
		{"approved", policy.Record{Type: policy.RecordPolicy, Action: "policy.publish", Result: "ok", Detail: map[string]string{"approver": "abe"}}, ""},
		{"a draft", policy.Record{Type: policy.RecordPolicy, Action: "policy.rollback", Result: "ok"}, ""},
		{"recovered", policy.Record{Type: policy.RecordLog, Action: accesslog.ActionRecovered}, alarm.LogTrouble},
		{"clock", policy.Record{Type: policy.RecordLog, Action: accesslog.ActionClock}, alarm.LogTrouble},
		{"a late entry", policy.Record{Type: policy.RecordOutcome, Ended: accesslog.EndedTimedOut}, alarm.LogTrouble},
		{"a disk that fills up", policy.Record{Type: policy.RecordLog, Action: accesslog.ActionDisk, Result: "low"}, alarm.LogTrouble},
		{"a disk with room again", policy.Record{Type: policy.RecordLog, Action: accesslog.ActionDisk, Result: "ok"}, ""},
		{"a witness in conflict", policy.Record{Type: policy.RecordLog, Action: "witness.conflict", Result: "conflict"}, alarm.Unanchored},
		{"a start", policy.Record{Type: policy.RecordLog, Action: accesslog.ActionStart}, ""},
		{"a read", policy.Record{Type: policy.RecordLog, Action: "log.query", Result: "ok"}, ""},
		{"begun anew", policy.Record{Type: policy.RecordLog, Action: "log.abandon", Result: "ok"}, alarm.LogTrouble},
		{"an alarm", policy.Record{Type: policy.RecordLog, Action: "alarm.raise", Result: "ok"}, ""},
	} {
		s := newScene(t)
		c.r.Time = start
		c.r.Actor = "ada"
		s.see(c.r)
		switch {
		case c.want != "" && len(s.found) == 1 && !s.found[0].Involves("ada"):
			t.Errorf("%s: nobody did it", c.name)
		case c.want == "" && len(s.found) > 0:
			t.Errorf("%s raises %+v", c.name, s.found)
		case c.want != "" && (len(s.found) != 1 || s.found[0].Kind != c.want):
			t.Errorf("%s raises %+v, want one of %s", c.name, s.found, c.want)
		}
	}
}

func TestMatches(t *testing.T) {
	own := alarm.Rule{ID: "own-x", Kind: alarm.Matches, Title: "Exports", On: true, Severity: alarm.Low, Count: 2, Within: time.Minute, Query: "path:/export* effect:allow"}
	s := newScene(t, own)
	r := request(start, "allow")
	s.see(r)
	r.Path = "/export/all"
	s.see(r)
	r.Time = start.Add(time.Second)
	s.see(r)
	if got := s.took(alarm.Matches); len(got) != 1 || got[0].Title != "Exports" {
		t.Errorf("raised %+v", got)
	}
	for _, bad := range []string{"since:7d", "effect:deny -(until:2026-01-01)", "colour:red", "((("} {
		if _, err := ParseQuery(bad); err == nil {
			t.Errorf("%q is taken for a rule's query", bad)
		}
	}
	if _, err := ParseQuery(`"since:7d"`); err != nil {
		t.Errorf("a quoted word: %v", err)
	}
}

// Strangers cannot make the counts grow without end.
func TestCounts_Bounded(t *testing.T) {
	s := newScene(t, defaultRule(t, alarm.Denials, nil))
	for i := range maxWindows + 1000 {
		r := request(start.Add(time.Duration(i)*time.Millisecond), "deny")
		r.Account, r.SourceIP = "", strconv.Itoa(i)
		s.see(r)
	}
	if n := len(s.x.Windows); n > maxWindows {
		t.Errorf("%d counts are kept", n)
	}
	s.see(request(start.Add(3*time.Hour), "deny"))
	if n := len(s.x.Windows); n > 1 {
		t.Errorf("%d counts are kept when their time is over", n)
	}
}

// The state of an engine that goes on from what was kept is that of one that
// never stopped, and so are its alarms.
func TestState_GoesOn(t *testing.T) {
	whole, parts := newScene(t), newScene(t)
	for i := range 3000 {
		r := request(start.Add(time.Duration(i)*13*time.Minute), []string{"allow", "deny", "allow", "challenge"}[i%4])
		r.Account = "a" + strconv.Itoa(i%7)
		r.Cluster = "c" + strconv.Itoa(i%11)
		whole.see(r)
		parts.see(r)
		if i%100 == 50 {
			b, err := parts.x.encode()
			if err != nil {
				t.Fatal(err)
			}
			st, err := readState(b)
			if err != nil {
				t.Fatal(err)
			}
			parts.x = newEngine(st)
			if err := parts.x.load(t.Context(), newKeeper()); err != nil {
				t.Fatal(err)
			}
		}
	}
	ids := func(s *scene) (out []string) {
		for _, a := range s.found {
			out = append(out, a.ID)
		}
		slices.Sort(out)
		return out
	}
	a, b := ids(whole), ids(parts)
	if len(a) == 0 || !slices.Equal(a, b) {
		t.Errorf("%d alarms without stops and %d with", len(a), len(b))
	}
	x, _ := whole.x.encode()
	y, _ := parts.x.encode()
	if string(x) != string(y) {
		t.Error("what is remembered differs")
	}
	for _, bad := range []string{"", "{", `{"version":2}`} {
		if _, err := readState([]byte(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// running is a service that watches l.
func running(t *testing.T, l *memoryLog, k *memoryKeeper, change func(*Config)) (s *Service, stop func()) {
	t.Helper()
	c := Config{Source: l, Origin: "test", Keeper: k, Now: func() time.Time { return start }}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return s, stop
}

// until waits for a condition, as long as a test may take.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s never came", what)
		}
	}
}

func deny20(l *memoryLog, account string, at time.Time) {
	for i := range 20 {
		r := request(at.Add(time.Duration(i)*time.Second), "deny")
		r.Account = account
		l.add(r)
	}
}

// Nothing of before the first start is raised, everything after it is, and over
// restarts of any kind nothing is missed or raised twice.
func TestService_OverRestarts(t *testing.T) {
	l, k := newLog(), newKeeper()
	deny20(l, "before", start)
	s, stop := running(t, l, k, nil)
	until(t, "the end", func() bool { return s.Status().Lag == 0 })
	deny20(l, "first", start)
	<-k.raised
	stop() // as it should: the state is kept
	deny20(l, "away", start)
	_, stop = running(t, l, k, nil)
	<-k.raised
	// A crash: what was kept is of before the next alarm.
	old := k.state
	deny20(l, "crash", start)
	<-k.raised
	stop()
	k.state = old
	deny20(l, "after", start)
	s, stop = running(t, l, k, nil)
	<-k.raised
	until(t, "the end", func() bool { return s.Status().Lag == 0 })
	stop()
	var about []string
	for _, id := range k.order {
		about = append(about, k.alarms[id].About)
	}
	if got := strings.Join(about, " "); got != "first away crash after" {
		t.Errorf("raised about %s", got)
	}
	if k.copies == 0 {
		t.Error("nothing was read a second time: the crash was none")
	}
}

// While the store fails nothing is lost; afterwards it goes on.
func TestService_StoreFails(t *testing.T) {
	l, k := newLog(), newKeeper()
	tries := make(chan struct{}, 100)
	s, _ := running(t, l, k, func(c *Config) {
		c.pause = func(ctx context.Context, _ time.Duration) error {
			tries <- struct{}{}
			return pause(ctx, time.Millisecond)
		}
	})
	until(t, "a beginning", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.engine != nil })
	k.mu.Lock()
	k.fail = errors.New("the disk is full")
	k.mu.Unlock()
	deny20(l, "kim", start)
	<-tries
	<-tries
	if f := s.Status().Fault; !strings.Contains(f, "the disk is full") {
		t.Errorf("the fault is shown as %q", f)
	}
	deny20(l, "lee", start)
	k.mu.Lock()
	k.fail = nil
	k.mu.Unlock()
	<-k.raised
	<-k.raised
	if got := k.kinds(); !slices.Equal(got, []string{"denials", "denials"}) {
		t.Errorf("raised %v", got)
	}
	until(t, "an end of the fault", func() bool { return s.Status().Fault == "" })
}

// A rule counts from the entry on that records it, also when it is read again.
func TestService_RuleFromItsEntry(t *testing.T) {
	l, k := newLog(), newKeeper()
	r := defaultRule(t, alarm.Denials, func(r *alarm.Rule) { r.Revision, r.Count = 1, 3 })
	k.rules = append(k.rules, r)
	k.state, _ = newState("test").encode()
	deny3 := func(account string) {
		for range 3 {
			x := request(start, "deny")
			x.Account = account
			l.add(x)
		}
	}
	deny3("before")
	l.add(policy.Record{Type: policy.RecordLog, Time: start, Action: ActionRule, Result: "ok", Detail: map[string]string{"rule": "denials", "revision": "1"}})
	deny3("after")
	s, stop := running(t, l, k, nil)
	<-k.raised
	until(t, "the end", func() bool { return s.Status().Lag == 0 })
	stop()
	if len(k.order) != 1 || k.alarms[k.order[0]].About != "after" || k.alarms[k.order[0]].Revision != 1 {
		t.Errorf("raised %+v", k.alarms)
	}
}

// A log that is another one than was watched is read from its beginning.
func TestService_AnotherLog(t *testing.T) {
	l, k := newLog(), newKeeper()
	for range 100 {
		l.add(request(start, "allow"))
	}
	s, stop := running(t, l, k, nil)
	until(t, "the end", func() bool { return s.Status().Lag == 0 })
	stop()
	if len(k.order) != 0 {
		t.Fatalf("raised %v of what was there before", k.kinds())
	}
	other := newLog()
	deny20(other, "lee", start.Add(time.Hour))
	running(t, other, k, nil)
	<-k.raised
}

// A trouble is raised once while it holds, over restarts too, and again when it
// comes back later.
func TestService_Conditions(t *testing.T) {
	l, k := newLog(), newKeeper()
	now := start
	s, err := New(Config{Source: l, Origin: "test", Keeper: k, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	begin := func() {
		if err := s.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	begin()
	bad := []Condition{{Kind: alarm.LogTrouble, Name: "unwritable", Facts: map[string]string{"what": "unwritable"}}}
	hold := func(c []Condition, want int) {
		t.Helper()
		now = now.Add(time.Second)
		if err := s.hold(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if len(k.order) != want {
			t.Fatalf("%d alarms, want %d", len(k.order), want)
		}
	}
	hold(nil, 0)
	hold(bad, 1)
	hold(bad, 1)
	begin() // a restart
	hold(bad, 1)
	hold(nil, 1)
	hold(bad, 1) // it comes and goes
	now = now.Add(time.Hour)
	hold(bad, 2)
	gap := func(d time.Duration) []Condition {
		return []Condition{{Kind: alarm.Unanchored, Name: "witness", For: d, Facts: map[string]string{"what": "gap"}}}
	}
	hold(gap(9*time.Minute), 2)
	hold(gap(10*time.Minute), 3)
	hold(gap(11*time.Minute), 3)
	// One that cannot be stored is tried again.
	now = now.Add(2 * time.Hour)
	hold(nil, 3)
	k.fail = errors.New("full")
	if err := s.hold(t.Context(), bad); err == nil {
		t.Error("no error")
	}
	k.fail = nil
	hold(bad, 4)
}

func BenchmarkObserve(b *testing.B) {
	x := newEngine(newState("test"))
	for _, r := range alarm.Defaults() {
		if err := x.set(r); err != nil {
			b.Fatal(err)
		}
	}
	e := &accesslog.Entry{Record: request(start, "allow"), Payload: make([]byte, 700)}
	for b.Loop() {
		e.Index++
		e.Time = e.Time.Add(time.Second)
		x.observe(e)
	}
}
