package watch

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/policy"
)

// stranger is a request that is denied to an address that nobody knows.
func stranger(at time.Time, address string) policy.Record {
	r := request(at, "deny")
	r.Account, r.Vendor, r.SourceIP = "", "", address
	return r
}

// Whoever has many addresses keeps nobody else from being noticed, and is noticed.
func TestStrangers_SilenceNobody(t *testing.T) {
	s := newScene(t, defaultRule(t, alarm.Denials, nil))
	for i := range maxWindows + 10_000 {
		s.see(stranger(start.Add(time.Duration(i)*time.Millisecond), fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)))
	}
	got := s.took(alarm.Denials)
	if len(got) != 1 || got[0].About != alarm.ManyAddresses {
		t.Errorf("of strangers that are too many: %+v", got)
	}
	for i := range 20 {
		s.see(request(start.Add(2*time.Minute+time.Duration(i)*time.Second), "deny"))
	}
	if got := s.took(alarm.Denials); len(got) != 1 || got[0].Account != "kim" {
		t.Errorf("of kim, meanwhile: %+v", got)
	}
	if n := s.x.strangers; n > maxStrangers+1 {
		t.Errorf("%d strangers are counted", n)
	}
}

// Nor can they raise an alarm with each.
func TestStrangers_FloodNobody(t *testing.T) {
	s := newScene(t, defaultRule(t, alarm.Denials, nil))
	for i := range 200 {
		for range 20 {
			s.see(stranger(start.Add(time.Duration(i)*time.Second), fmt.Sprintf("192.0.2.%d", i)))
		}
	}
	got := s.took(alarm.Denials)
	if len(got) != maxNamed+1 || got[0].About != "192.0.2.0" || got[maxNamed].About != alarm.ManyAddresses {
		t.Errorf("%d alarms", len(got))
	}
	for i := range 20 {
		s.see(stranger(start.Add(2*time.Hour), fmt.Sprintf("2001:db8:0:1::%x", i)))
	}
	if got := s.took(alarm.Denials); len(got) != 1 || got[0].About != "2001:db8:0:1::/64" {
		t.Errorf("from one network, two hours later: %+v", got)
	}
	before := s.x.strangers
	if s.x.tally(); before != s.x.strangers {
		t.Errorf("%d strangers were counted, and there are %d", before, s.x.strangers)
	}
}
