package auth

import (
	"sync/atomic"
	"time"
)

// A clock tells the time for everything that ends. It never goes back: a
// computer whose clock is set back must not lengthen a session. Codes are
// checked against the wall clock instead, which the person's telephone has too.
type clock struct {
	wall    func() time.Time
	elapsed func() time.Duration // since start, by a clock that nobody sets; nil when there is none
	start   time.Time
	high    atomic.Int64
}

func newClock(now func() time.Time) *clock {
	if now != nil {
		return &clock{wall: now, start: now()}
	}
	start := time.Now()
	return &clock{wall: time.Now, start: start, elapsed: func() time.Duration { return time.Since(start) }}
}

// now returns the latest of the wall clock, the time since start, and every
// time told before.
func (c *clock) now() time.Time {
	t := c.wall().UnixNano()
	if c.elapsed != nil {
		t = max(t, c.start.UnixNano()+int64(c.elapsed()))
	}
	for {
		high := c.high.Load()
		if t <= high {
			return time.Unix(0, high).UTC()
		}
		if c.high.CompareAndSwap(high, t) {
			return time.Unix(0, t).UTC()
		}
	}
}

// clockSlack is how far the clock may be behind before codes are refused: time
// servers put it back by less every day.
const clockSlack = time.Second

// codesRefused reports whether the clock is behind a time that was told or
// recorded before.
func (s *Service) codesRefused() bool {
	behind := s.clock.behind()
	if s.cfg.Behind != nil {
		behind = max(behind, s.cfg.Behind())
	}
	return behind > clockSlack
}

// behind returns how far the wall clock is behind what was told before.
func (c *clock) behind() time.Duration {
	return max(0, time.Duration(c.high.Load()-c.wall().UnixNano()))
}
