package watch

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

const stateVersion = 1

// state is all that an engine remembers; it is kept as JSON.
type state struct {
	Version int    `json:"version"`
	Origin  string `json:"origin"`
	Next    uint64 `json:"next"`           // the next entry to look at
	Last    string `json:"last,omitempty"` // hash of the entry before it
	// Quiet is the first entry that may raise an alarm.
	Quiet uint64 `json:"quiet"`
	// Rules are the revisions in force, by rule.
	Rules map[string]int64 `json:"rules,omitempty"`

	Past    map[string]*past   `json:"past,omitempty"`    // by account
	Windows map[string][]int64 `json:"windows,omitempty"` // times of what counts, oldest first, by rule and what it is about
	Raised  map[string]int64   `json:"raised,omitempty"`  // when, likewise
	Egress  map[string]*spent  `json:"egress,omitempty"`  // by account and cluster
	Since   map[string]int64   `json:"since,omitempty"`   // when conditions that hold began
	Named   map[string][]int64 `json:"named,omitempty"`   // when an alarm of an address was raised, by rule
	Swept   int64              `json:"swept,omitempty"`   // when counts were last dropped for want of room
	Day     int64              `json:"day"`               // of the newest entry

	strangers int // how many of Windows are of whom nobody knows
}

// spent is what an account was sent from a cluster on a day.
type spent struct {
	Day    int64  `json:"n"`
	Budget int64  `json:"l,omitempty"`
	Bytes  int64  `json:"b"`
	Vendor string `json:"v,omitempty"`
}

func newState(origin string) *state {
	return &state{Version: stateVersion, Origin: origin, Rules: map[string]int64{}, Past: map[string]*past{}, Windows: map[string][]int64{},
		Raised: map[string]int64{}, Egress: map[string]*spent{}, Since: map[string]int64{}, Named: map[string][]int64{}}
}

func readState(b []byte) (*state, error) {
	s := newState("")
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("reading what is remembered for alarms: %w", err)
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("reading what is remembered for alarms: version %d is not known", s.Version)
	}
	return s, nil
}

func (s *state) encode() ([]byte, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("keeping what is remembered for alarms: %w", err)
	}
	return b, nil
}

// forget drops what no rule can need any longer, once a day, and of counts also
// where strangers could make them grow.
func (s *state) forget(now time.Time, longest time.Duration) {
	day := dayOf(now)
	for id, p := range s.Past {
		if p.idle(day) {
			delete(s.Past, id)
		}
	}
	for k, e := range s.Egress {
		if e.Day < day-1 { // what goes on over midnight keeps its budget
			delete(s.Egress, k)
		}
	}
	s.forgetCounts(now, longest)
	for k, at := range s.Raised {
		if now.UnixNano()-at > int64(31*24*time.Hour) {
			delete(s.Raised, k)
		}
	}
}

// forgetCounts drops the counts that nothing was added to for so long.
func (s *state) forgetCounts(now time.Time, longest time.Duration) {
	for k, w := range s.Windows {
		if len(w) == 0 || now.UnixNano()-w[len(w)-1] > int64(longest) {
			delete(s.Windows, k)
		}
	}
	s.tally()
}

// tally counts the strangers anew.
func (s *state) tally() {
	s.strangers = 0
	for k := range s.Windows {
		if strings.Contains(k, strangerMark) {
			s.strangers++
		}
	}
}
