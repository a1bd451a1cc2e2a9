package auth

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"
)

// A lastUse notes when and from where something was used, without a lock and
// at most once a second.
type lastUse struct {
	p       atomic.Pointer[TokenUse]
	flushed atomic.Pointer[TokenUse] // what the store has
}

// start sets what the store has.
func (u *lastUse) start(at time.Time, ip string) {
	if !at.IsZero() {
		use := &TokenUse{At: at, IP: ip}
		u.p.Store(use)
		u.flushed.Store(use)
	}
}

func (u *lastUse) note(now time.Time, from netip.Addr) {
	was := u.p.Load()
	if was != nil && now.Sub(was.At) < time.Second {
		return
	}
	use := &TokenUse{At: now.Truncate(time.Second)}
	if from.IsValid() {
		use.IP = from.String()
	}
	u.p.CompareAndSwap(was, use) // another request of this second is as good
}

func (u *lastUse) get() TokenUse {
	if p := u.p.Load(); p != nil {
		return *p
	}
	return TokenUse{}
}

// flushTokens writes when tokens and machines were last used.
func (s *Service) flushTokens(ctx context.Context) error {
	used := make(map[string]TokenUse)
	var flushed []func()
	gather := func(id string, u *lastUse) {
		if p := u.p.Load(); p != nil && p != u.flushed.Load() {
			used[id] = *p
			flushed = append(flushed, func() { u.flushed.Store(p) })
		}
	}
	s.live.tokenIDs.Range(func(id, v any) bool { gather(id.(string), &v.(*liveToken).used); return true })
	s.live.machineIDs.Range(func(id, v any) bool { gather(id.(string), &v.(*liveMachine).used); return true })
	if len(used) == 0 {
		return nil
	}
	if err := s.cfg.Store.TouchTokens(ctx, used); err != nil {
		return fmt.Errorf("writing when tokens were last used: %w", err)
	}
	for _, f := range flushed {
		f()
	}
	return nil
}
