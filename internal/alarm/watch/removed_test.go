package watch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/accesslogtest"
	"github.com/ringfence/ringfence/internal/alarm"
)

// TestService_Removed: entries that went by age before they were looked at are
// passed over. What is usual is kept, the log is the same, and what comes is raised.
func TestService_Removed(t *testing.T) {
	l, k := accesslogtest.NewSigning(t), newKeeper()
	add := func(n int, account, effect string) {
		for i := range n {
			r := request(time.Now(), effect)
			r.RequestID, r.Account, r.Path = fmt.Sprintf("%s-%d", account, i), account, "/"+strings.Repeat("x", 300)
			l.Add(t, &r)
		}
	}
	begin := func() (*Service, func()) {
		return running(t, nil, k, func(c *Config) { c.Source, c.Origin, c.Now = l.Log, "test.example/log", time.Now })
	}
	add(50, "kim", "allow")
	s, stop := begin()
	until(t, "the end", func() bool { return s.Status().Lag == 0 })
	stop()
	was, err := readState(k.state)
	if err != nil || was.Next != l.Size() {
		t.Fatalf("%+v, %v", was, err)
	}
	add(600, "lee", "allow")
	var first uint64
	until(t, "entries can go", func() bool {
		sealed, err := accesslog.Sealed(l.Dir, 0)
		if err != nil || len(sealed) < 2 || sealed[1].First < was.Next+20 {
			return false
		}
		first = sealed[1].First
		return l.Prune(t.Context(), accesslog.Removal{Before: first, Actor: "operator"}) == nil
	})
	s, stop = begin()
	until(t, "the end", func() bool { return s.Status().Lag == 0 })
	add(25, "mia", "deny")
	<-k.raised
	if got := s.Status(); got.Fault != "" || k.alarms[k.order[len(k.order)-1]].Account != "mia" {
		t.Errorf("%+v, raised %v", got, k.kinds())
	}
	stop()
	now, err := readState(k.state)
	if err != nil || now.Quiet != was.Quiet {
		t.Errorf("the log is taken for another one: %d, %v", now.Quiet, err)
	}
	// A rule is tried on what is left.
	trial, err := Try(t.Context(), l.Dir, defaultRule(t, alarm.Denials, nil), time.Time{}, l.Size(), nil)
	if err != nil || trial.Entries != l.Size()-first || trial.Total != 1 {
		t.Errorf("tried on %d of %d entries: %d alarms, %v", trial.Entries, l.Size()-first, trial.Total, err)
	}
}
