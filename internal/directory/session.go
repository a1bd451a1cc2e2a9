package directory

import (
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// SessionLimits are how long sessions of an engagement's people may go on:
// Idle without being used, Absolute altogether. Zero is no limit of its own.
// They only narrow what the deployment allows.
type SessionLimits struct{ Idle, Absolute time.Duration }

// What an engagement can set.
const (
	shortestSession = time.Minute
	longestIdle     = 24 * time.Hour
	longestSession  = 168 * time.Hour
)

// IsZero reports whether nothing is limited.
func (l SessionLimits) IsZero() bool { return l == SessionLimits{} }

// String returns the limits as the YAML form has them; empty when there are none.
func (l SessionLimits) String() string {
	var parts []string
	if l.Idle != 0 {
		parts = append(parts, "idle: "+duration(l.Idle))
	}
	if l.Absolute != 0 {
		parts = append(parts, "absolute: "+duration(l.Absolute))
	}
	if parts == nil {
		return ""
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// duration writes 15m, not 15m0s.
func duration(d time.Duration) string { return trimUnit(trimUnit(d.String(), "m0s"), "h0m") }

// narrow returns the narrower of both limits, each for itself.
func (l SessionLimits) narrow(m SessionLimits) SessionLimits {
	return SessionLimits{narrower(l.Idle, m.Idle), narrower(l.Absolute, m.Absolute)}
}

func narrower(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// SessionLimits returns how long sessions of an account may go on at the time
// now: the narrowest of the engagements under which it has an assignment, where
// both are in force. An unknown account has no limits, and no sessions.
func (s *Snapshot) SessionLimits(accountID string, now time.Time) (l SessionLimits) {
	i, ok := s.byID[accountID]
	if !ok || s.limited == nil || !s.limited[i] {
		return SessionLimits{}
	}
	for a := range s.assignments(i) {
		if e := s.engagements[a.Engagement]; e != nil && e.InForce(now) && a.InForce(now) {
			l = l.narrow(e.Session)
		}
	}
	return l
}

// indexSessionLimits notes which accounts have limits at all: sessions ask at
// every request.
func (s *Snapshot) indexSessionLimits() {
	limiting := map[string]bool{}
	for i := range s.d.Engagements {
		if e := &s.d.Engagements[i]; !e.Session.IsZero() {
			limiting[e.Name] = true
		}
	}
	if len(limiting) == 0 {
		return
	}
	s.limited = make([]bool, len(s.d.Accounts))
	for i := range s.d.Assignments {
		a := &s.d.Assignments[i]
		if n, ok := s.byEmail[a.Account]; ok && limiting[a.Engagement] {
			s.limited[n] = true
		}
	}
}

var sessionFieldNames = []string{"idle", "absolute"}

func (r *reader) session(n ast.Node, at string, to *SessionLimits) ([]fieldLine, bool) {
	return r.mapping(n, at, sessionFieldNames, func(key, at string, v ast.Node) bool {
		if key == "idle" {
			return r.duration(v, at, &to.Idle)
		}
		return r.duration(v, at, &to.Absolute)
	})
}

func (w *writer) session(indent int, l SessionLimits) {
	if s := l.String(); s != "" {
		w.field(indent, "session", s)
	}
}

func (o object) session(l SessionLimits) {
	if l.Idle != 0 && (l.Idle < shortestSession || l.Idle > longestIdle) {
		o.fault("session.idle", "must be between 1m and 24h")
	}
	if l.Absolute != 0 && (l.Absolute < shortestSession || l.Absolute > longestSession) {
		o.fault("session.absolute", "must be between 1m and 168h")
	}
	if l.Idle != 0 && l.Absolute != 0 && l.Idle > l.Absolute {
		o.fault("session.idle", "is longer than session.absolute")
	}
}
