package retention

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/ringfence/ringfence/internal/durable"
)

// Settled is how long what decides on removal, the clock and the rules, must
// have been as it is: a clock that jumps a year ahead and a slip in the
// configuration would otherwise remove in a minute what nobody can bring back.
const Settled = 7 * 24 * time.Hour

const (
	lookEvery = time.Hour          // how often the clock is looked at
	clockStep = time.Hour          // what it may be set by meanwhile
	clockAway = 3 * 24 * time.Hour // what it may be ahead where nobody looked, as over a long weekend
)

// Waiting says why nothing is removed for now, whatever is over.
type Waiting struct {
	Why   string    // a value of Waits…; empty: nothing keeps it
	Until time.Time // zero: for as long as it lasts
}

// Values of [Waiting.Why].
const (
	WaitsFirst = "first" // the log is new here, or so is the looking
	WaitsClock = "clock" // the clock was set, or nobody looked for days
	WaitsRules = "rules" // rules or archive were changed
	WaitsDrift = "drift" // time servers say that the clock is off
)

// A memory is what is kept from one look to the next.
type memory struct {
	Clock time.Time `json:"clock"`          // at the last look
	Rules string    `json:"rules"`          // rules and archive, then
	Since time.Time `json:"since,omitzero"` // of the newest change; zero: all was confirmed
	Why   string    `json:"why,omitempty"`  // which change that was
}

// Waits looks at clock and rules, and says whether anything may be removed. With
// keep it remembers what it saw, so that a later look notices what has changed.
func (s *Service) Waits(ctx context.Context, keep bool) (Waiting, error) {
	if s.cfg.Memory == "" {
		return Waiting{}, nil
	}
	s.looking.Lock()
	defer s.looking.Unlock()
	m, err := readMemory(s.cfg.Memory)
	if err != nil {
		return Waiting{}, err
	}
	rules, err := s.decides(ctx)
	if err != nil {
		return Waiting{}, err
	}
	now, steady := s.cfg.Now().Round(0).UTC(), time.Now()
	why := ""
	switch {
	case m == nil:
		m, why = &memory{}, WaitsFirst
	case s.jumped(m.Clock, now, steady):
		why = WaitsClock
	case m.Rules != rules:
		why = WaitsRules
	}
	if why != "" {
		m.Since, m.Why = now, why
	}
	was := *m
	m.Clock, m.Rules = now, rules
	if keep {
		if err := m.write(s.cfg.Memory); err != nil {
			return Waiting{}, err
		}
		if s.anchor.IsZero() || why != "" {
			s.anchor, s.anchorSteady = now, steady
		}
		if why == WaitsClock || why == WaitsRules {
			s.cfg.Logger.Warn("no entries are removed from the access log for a while", "because", why, "until", now.Add(Settled), "clock", now, "was", was.Clock)
		}
	}
	if s.cfg.Drift != nil && s.cfg.Drift().Abs() > clockStep {
		return Waiting{Why: WaitsDrift}, nil
	}
	if until := m.Since.Add(Settled); m.Why != "" && now.Before(until) {
		return Waiting{m.Why, until}, nil
	}
	return Waiting{}, nil
}

// jumped reports whether the clock was set since the last look, at was: against
// the one that nobody sets or, where another process looked, by too much.
func (s *Service) jumped(was, now, steady time.Time) bool {
	if now.Before(was.Add(-clockStep)) {
		return true
	}
	if s.anchor.IsZero() {
		return now.Sub(was) > clockAway
	}
	return (now.Sub(s.anchor) - steady.Sub(s.anchorSteady)).Abs() > clockStep
}

// decides is what rules and archive are, to notice that they were changed, in
// the configuration file or by administrators.
func (s *Service) decides(ctx context.Context) (string, error) {
	r, err := s.Rules(ctx)
	decides := fmt.Sprintf("{%v %v %v} %s", r.Days, r.Classifications, r.Clusters, s.ArchivedTo())
	if l := r.least; l != nil { // a rule of the file counts also where another hides it
		decides += fmt.Sprintf(" {%v %v %v}", l.Days, l.Classifications, l.Clusters)
	}
	return decides, err
}

// Confirm says that the clock is right and that the rules are meant: what is
// over may go now.
func (s *Service) Confirm(ctx context.Context) error {
	if s.cfg.Memory == "" {
		return nil
	}
	s.looking.Lock()
	defer s.looking.Unlock()
	rules, err := s.decides(ctx)
	if err != nil {
		return err
	}
	m := &memory{Clock: s.cfg.Now().Round(0).UTC(), Rules: rules}
	s.anchor, s.anchorSteady = m.Clock, time.Now()
	return m.write(s.cfg.Memory)
}

// readMemory returns nil where there is none, or none that can be read.
func readMemory(path string) (*memory, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading when the clock was looked at: %w", err)
	}
	m := &memory{}
	if json.Unmarshal(b, m) != nil || m.Clock.IsZero() {
		return nil, nil
	}
	return m, nil
}

func (m *memory) write(path string) error {
	b, err := json.Marshal(m)
	if err == nil {
		err = durable.WriteFile(path, append(b, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("keeping when the clock was looked at: %w", err)
	}
	return nil
}
