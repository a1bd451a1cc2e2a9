package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/proxy"
)

var _ proxy.Watcher = (*shadows)(nil)

// shadowFlush is how often what a shadow found is kept in the store.
const shadowFlush = 2 * time.Second

// shadows has a policy set decide beside the engine, in a child process, while
// the store says so. Requests never wait for it.
type shadows struct {
	g       *gateway
	current atomic.Pointer[studio.Shadow]
	due     chan struct{} // of capacity 1: what is to run may have changed
}

func newShadows(g *gateway) *shadows { return &shadows{g: g, due: make(chan struct{}, 1)} }

// Watch implements [proxy.Watcher]. Whoever is not signed in is challenged
// under every policy set, and costs nothing here.
func (s *shadows) Watch(in *policy.Input, made policy.Decision, entry uint64) {
	if now := s.current.Load(); now != nil && !in.Subject.IsAnonymous() {
		now.Offer(in, made, entry)
	}
}

// look has Run look soon at what is to run.
func (s *shadows) look() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// Run runs the shadow that the store names until ctx ends.
func (s *shadows) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		next, ok, err := s.g.db.RunningShadow(ctx)
		if err == nil && ok {
			err = s.run(ctx, &next)
		}
		if err != nil && ctx.Err() == nil {
			s.g.logger.Error("deciding in shadow", "err", err)
		}
		var again <-chan time.Time
		if err != nil {
			again = time.After(retryEvery)
		} else if ok {
			continue // it was stopped: perhaps another has been started
		}
		select {
		case <-ctx.Done():
		case <-s.due:
		case <-again:
		}
	}
	return ctx.Err()
}

// run has one set decide until it is stopped, fails, or ctx ends.
func (s *shadows) run(ctx context.Context, c *change.Shadow) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	shadow := s.g.studio.NewShadow(studio.ShadowRequest{Modules: c.Modules})
	counts := new(shadowTally)
	done := make(chan error, 1)
	go func() { done <- shadow.Run(inner, counts.add) }()
	s.current.Store(shadow)
	s.g.logger.Info("a policy set decides in shadow", "shadow", c.ID, "policies", c.Hash)
	tick := time.NewTicker(shadowFlush)
	defer tick.Stop()
	var ended error
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case <-s.due:
			now, ok, err := s.g.db.RunningShadow(ctx)
			running = err != nil || ok && now.ID == c.ID
		case <-tick.C:
			if err := s.flush(ctx, c.ID, shadow, counts); err != nil && ctx.Err() == nil {
				s.g.logger.Error("keeping what a shadow found", "err", err)
			}
		case ended = <-done:
			running = false
			done <- nil
		}
	}
	s.current.Store(nil)
	stop()
	<-done
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleWait)
	defer cancel()
	err := s.flush(last, c.ID, shadow, counts)
	if ended != nil {
		s.g.logger.Error("a shadow has ended", "shadow", c.ID, "err", ended)
		return s.g.db.StopShadow(last, operator, c.ID, ended.Error())
	}
	return err
}

// flush keeps what was counted since the last time. What cannot be kept is
// kept the next time.
func (s *shadows) flush(ctx context.Context, id int64, shadow *studio.Shadow, t *shadowTally) error {
	t.addDropped(shadow.TakeDropped())
	c, found := t.take()
	if c == (change.ShadowCounts{}) {
		return nil
	}
	err := s.g.db.CountShadow(ctx, id, c, found)
	if err != nil {
		t.giveBack(c, found)
	}
	return err
}

// A shadowTally counts differences by what they have in common.
type shadowTally struct {
	mu     sync.Mutex
	counts change.ShadowCounts
	groups map[change.DifferenceKey]*change.Difference
}

// add counts one decision; nil is one on which both sets agree.
func (t *shadowTally) add(d *studio.ShadowDifference) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Decided++
	if d == nil {
		return
	}
	switch d.Turn {
	case "widened":
		t.counts.Widened++
	case "narrowed":
		t.counts.Narrowed++
	default:
		t.counts.Reworded++
	}
	at := time.Unix(0, d.Request.TimeNS).UTC()
	t.merge(change.Difference{DifferenceKey: keyOf(d), Count: 1, First: at, Last: at, Entries: []uint64{d.Entry}})
}

func (t *shadowTally) merge(d change.Difference) {
	g := t.groups[d.DifferenceKey]
	if g == nil {
		if len(t.groups) >= change.MaxDifferences {
			return // counted, not listed
		}
		if t.groups == nil {
			t.groups = map[change.DifferenceKey]*change.Difference{}
		}
		t.groups[d.DifferenceKey] = &d
		return
	}
	g.Count += d.Count
	if d.First.Before(g.First) {
		g.First = d.First
	}
	if d.Last.After(g.Last) {
		g.Last = d.Last
	}
	if g.Entries = append(g.Entries, d.Entries...); len(g.Entries) > change.MaxEntries {
		g.Entries = g.Entries[len(g.Entries)-change.MaxEntries:]
	}
}

func (t *shadowTally) addDropped(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Dropped += n
}

// take returns what was counted and begins anew.
func (t *shadowTally) take() (change.ShadowCounts, []change.Difference) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.counts
	var found []change.Difference
	for _, d := range t.groups {
		found = append(found, *d)
	}
	t.counts, t.groups = change.ShadowCounts{}, nil
	return c, found
}

// giveBack adds what take returned and nobody kept.
func (t *shadowTally) giveBack(c change.ShadowCounts, found []change.Difference) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Add(c)
	for _, d := range found {
		t.merge(d)
	}
}

func keyOf(d *studio.ShadowDifference) change.DifferenceKey {
	return change.DifferenceKey{
		Turn: string(d.Turn), Account: d.Subject.Account, Email: d.Subject.Email, Vendor: d.Subject.Vendor, Cluster: d.Cluster, Route: d.Route,
		OldEffect: d.Old.Effect.String(), OldReasons: reasonCodes(d.Old), NewEffect: d.New.Effect.String(), NewReasons: reasonCodes(d.New),
	}
}

// maxCodes bounds the reasons that a group names: a policy can make them up.
const maxCodes = 512

func reasonCodes(d policy.Decision) string {
	var codes []string
	for _, r := range d.Reasons {
		codes = append(codes, r.Code)
	}
	s := strings.Join(codes, ",")
	return s[:min(len(s), maxCodes)]
}

// consoleShadows is the shadow as the pages show and change it.
type consoleShadows struct{ g *gateway }

// Shadows returns what is kept, the newest first.
func (c consoleShadows) Shadows(ctx context.Context) ([]change.Shadow, error) {
	return c.g.db.Shadows(ctx)
}

// Differences returns what a shadow found.
func (c consoleShadows) Differences(ctx context.Context, id int64) ([]change.Difference, error) {
	return c.g.db.Differences(ctx, id)
}

// Start checks the modules and has them decide in shadow.
func (c consoleShadows) Start(ctx context.Context, actor directory.Actor, s change.Shadow) (change.Shadow, error) {
	r, err := c.g.studio.Check(ctx, studio.CheckRequest{Modules: s.Modules, Quick: true})
	if err != nil {
		return s, err
	}
	if len(r.Diagnostics) > 0 {
		return s, fmt.Errorf("starting a shadow: %w", &change.FaultyError{Fault: r.Diagnostics[0].String()})
	}
	if s, err = c.g.db.StartShadow(ctx, actor, s); err != nil {
		return s, err
	}
	return s, c.g.refresh(ctx, map[string]bool{store.KindShadow: true})
}

// Stop ends a shadow.
func (c consoleShadows) Stop(ctx context.Context, actor directory.Actor, id int64) error {
	if err := c.g.db.StopShadow(ctx, actor, id, ""); err != nil {
		return err
	}
	return c.g.refresh(ctx, map[string]bool{store.KindShadow: true})
}
