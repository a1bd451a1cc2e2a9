package auth

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// Actions of the records about sessions between their start and their end. All
// are of type login but the last, which is of type log.
const (
	actionSessionIdle   = "session.idle"
	actionSessionResume = "session.resume"
	actionClockBack     = "clock.back"
)

// Limits are how long a session may go on: Idle without being used, Absolute
// altogether. What is zero limits nothing.
type Limits struct{ Idle, Absolute time.Duration }

// limits returns what holds for an account's sessions at this moment: the
// configuration's limits, or narrower ones.
func (s *Service) limits(account string) Limits {
	l := Limits{s.cfg.Idle, s.cfg.Absolute}
	if s.cfg.Limits == nil {
		return l
	}
	own := s.cfg.Limits(account)
	if own.Idle > 0 {
		l.Idle = min(l.Idle, own.Idle)
	}
	if own.Absolute > 0 {
		l.Absolute = min(l.Absolute, own.Absolute)
	}
	return l
}

// absoluteEnd returns when the session ends whatever happens.
func (v *StoredSession) absoluteEnd(l Limits) time.Time {
	if end := v.Created.Add(l.Absolute); end.Before(v.Ends) {
		return end
	}
	return v.Ends
}

// A standing is what a session is good for. The zero standing is nothing.
type standing uint8

const (
	ended   standing = iota // for good
	idle                    // nothing passes and streams are cut, but it can be resumed
	inForce                 //
)

// standing returns how the session stands at now, with its view and account.
func (s *Service) standing(l *liveSession, now time.Time) (*StoredSession, *Account, standing) {
	v, a := l.view.Load(), l.account.p.Load()
	limits := s.limits(v.Account)
	switch {
	case l.ended.Load() || !a.Active(now) || !now.Before(v.absoluteEnd(limits)):
		return v, a, ended
	// Once it is known to be idle it stays so, whatever the limits become.
	case !v.IdleSince.IsZero() || now.UnixNano()-l.seen.Load() >= int64(limits.Idle):
		return v, a, idle
	}
	return v, a, inForce
}

// markIdle records and stores which sessions have gone idle, some hundred at a
// time: everybody goes to lunch at once. Call under mu.
func (s *Service) markIdle(ctx context.Context, now time.Time) error {
	var idlers []*liveSession
	s.live.sessions.Range(func(_, x any) bool {
		l := x.(*liveSession)
		if v, _, standing := s.standing(l, now); standing == idle && v.IdleSince.IsZero() {
			idlers = append(idlers, l)
		}
		return true
	})
	for some := range slices.Chunk(idlers, 256) {
		records := make([]*policy.Record, len(some))
		since := make(map[string]time.Time, len(some))
		for i, l := range some {
			v := l.view.Load()
			records[i] = s.idleEvent(v, l.account.p.Load())
			since[v.ID] = time.Unix(0, l.seen.Load()).Add(s.limits(v.Account).Idle).UTC()
		}
		// What fails here is out of force all the same, and tried again.
		if err := s.recordAll(ctx, records); err != nil {
			return err
		}
		if err := s.cfg.Store.IdleSessions(ctx, since); err != nil {
			return fmt.Errorf("noting idle sessions: %w", err)
		}
		for _, l := range some {
			next := *l.view.Load()
			next.IdleSince = since[next.ID]
			l.view.Store(&next)
		}
	}
	return nil
}

func (s *Service) idleEvent(v *StoredSession, a *Account) *policy.Record {
	r := s.event(actionSessionIdle, "ok", a, Origin{})
	r.Session = v.ID
	return r
}

// reread takes over what another process has changed of the session's row.
func (l *liveSession) reread(row *StoredSession) {
	was := l.view.Load()
	if was.Epoch == row.Epoch && was.IdleSince.Equal(row.IdleSince) {
		return
	}
	if n := row.LastSeen.UnixNano(); n > l.seen.Load() {
		l.seen.Store(n)
	}
	l.view.Store(row)
}

// listed returns those of the sessions that have not ended as others see them,
// the one used last first.
func (s *Service) listed(all []*liveSession) []Session {
	slices.SortFunc(all, func(a, b *liveSession) int { return bySeen(b, a) })
	now := s.now()
	out := make([]Session, 0, len(all))
	for _, l := range all {
		if v, a, standing := s.standing(l, now); standing != ended {
			out = append(out, *s.sessionOf(l, v, a))
		}
	}
	return out
}

// opened notes that the session was carried to a cluster's host, for its owner
// to read: a fault here is logged and keeps nobody out.
func (s *Service) opened(ctx context.Context, l *liveSession, host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := l.view.Load()
	if slices.Contains(v.Opened, host) {
		return
	}
	if err := s.cfg.Store.OpenHost(ctx, v.ID, host); err != nil {
		s.log.ErrorContext(ctx, "noting which cluster a session opened", "session", v.ID, "err", err)
		return
	}
	next := *v
	next.Opened = append(slices.Clone(v.Opened), host)
	l.view.Store(&next)
}

// noteClock records that the clock was set back: once for each jump, since
// nothing ends later for it.
func (s *Service) noteClock(ctx context.Context) error {
	behind := s.clock.behind()
	if behind <= time.Second {
		s.clockTold.Store(0)
		return nil
	}
	if behind <= time.Duration(s.clockTold.Load())+time.Second {
		return nil
	}
	s.log.Warn("the clock was set back; sessions end as if it had not been", "behind", behind)
	r := &policy.Record{Type: policy.RecordLog, Time: s.now(), Action: actionClockBack, Result: "ok"}
	if err := s.record(ctx, detail(r, "behind", behind.Round(time.Second).String())); err != nil {
		return err
	}
	s.clockTold.Store(int64(behind))
	return nil
}
