package watch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/alarm"
)

// Learn is how much of the past is read to know what is usual.
const Learn = 35 * 24 * time.Hour

// triedMost is how many alarms a trial keeps.
const triedMost = 100

// Try asks a rule, whether it is on or not, about the entries of the log in dir
// from since up to index until, after it has learnt from the weeks before, and
// returns what it would have raised. Nothing is raised. progress, which may be
// nil, is told how many of how many entries were read.
func Try(ctx context.Context, dir string, r alarm.Rule, since time.Time, until uint64, progress func(done, total uint64)) (alarm.Trial, error) {
	r.On = true
	t := alarm.Trial{From: since, Blind: r.Kind == alarm.LogTrouble || r.Kind == alarm.Unanchored}
	first, err := accesslog.FirstAt(dir, since.Add(-Learn))
	if err != nil {
		return t, fmt.Errorf("trying a rule: %w", err)
	}
	x := newEngine(newState(""))
	if err := x.set(r); err != nil {
		return t, fmt.Errorf("trying a rule: %w", err)
	}
	tell := func(done uint64) {
		if progress != nil {
			progress(done, until-min(first, until))
		}
	}
	tell(0)
	err = accesslog.Scan(ctx, dir, first, until, func(e *accesslog.Entry) error {
		x.Quiet = e.Index // this one counts …
		if e.Time.Before(since) {
			x.Quiet++ // … or it is only learnt from
		} else {
			t.Entries++
		}
		for _, a := range x.observe(e) {
			t.Total++
			if t.Alarms = append(t.Alarms, a.Alarm); len(t.Alarms) > triedMost {
				t.Alarms = slices.Delete(t.Alarms, 0, 1)
			}
		}
		t.Until = e.Time
		if n := e.Index - first + 1; n%4096 == 0 {
			tell(n)
			return ctx.Err()
		}
		return nil
	})
	if err != nil {
		return t, fmt.Errorf("trying a rule: %w", err)
	}
	tell(until - min(first, until))
	slices.Reverse(t.Alarms)
	return t, nil
}
