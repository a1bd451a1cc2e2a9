package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/witness"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// effects counts decisions by the revision that made them. Requests add to
// numbers in memory; now and then those go to the store.
type effects struct {
	current atomic.Pointer[effect] // nil: policies do not come from the store

	mu     sync.Mutex // guards what follows; requests never take it
	former []*effect  // revisions from before whose last numbers are not in the store yet
}

// effect counts the decisions of one revision.
type effect struct {
	id     int64  // of the published revision
	engine string // that the engine calls it
	since  time.Time

	allowed, challenged, denied atomic.Int64
	first, last                 atomic.Int64 // nanoseconds since 1970
}

// A countedLog records what the proxy decides and counts it.
type countedLog struct {
	*accesslog.Log
	effects *effects
	witness *witness.Collector // nil: no witness is configured
}

// Record implements [proxy.Recorder].
func (l countedLog) Record(ctx context.Context, r *policy.Record) (uint64, error) {
	if l.witness != nil {
		if err := l.witness.Serving(); err != nil {
			return 0, fmt.Errorf("recording: %w: %w", accesslog.ErrUnavailable, err)
		}
	}
	index, err := l.Log.Record(ctx, r)
	if err == nil {
		l.effects.count(r)
	}
	return index, err
}

func (e *effects) count(r *policy.Record) {
	c := e.current.Load()
	if c == nil || r.Type != policy.RecordRequest || r.Revision != c.engine {
		return // a decision by the set from a moment ago is not worth a lock
	}
	switch r.Effect {
	case policy.Allow.String():
		c.allowed.Add(1)
	case policy.Challenge.String():
		c.challenged.Add(1)
	default:
		c.denied.Add(1)
	}
	at := r.Time.UnixNano()
	c.first.CompareAndSwap(0, at)
	c.last.Store(at)
}

// take returns what was counted since the last time, false for nothing.
func (c *effect) take() (change.Effect, bool) {
	e := change.Effect{Allowed: c.allowed.Swap(0), Challenged: c.challenged.Swap(0), Denied: c.denied.Swap(0)}
	if e.Allowed+e.Challenged+e.Denied == 0 {
		return e, false
	}
	e.First, e.Last = time.Unix(0, c.first.Swap(0)), time.Unix(0, c.last.Load())
	if e.First.UnixNano() == 0 || e.First.After(e.Last) {
		e.First = e.Last // counted between the swaps
	}
	return e, true
}

// tookForce notes which revision the set that the engine has just loaded is.
func (g *gateway) tookForce(ctx context.Context, src rego.Source) {
	var next *effect
	g.noteForce()
	if !originOf(g.cfg.Load()).ReadOnly() {
		r, err := storedPolicies(ctx, g.cfg.Load(), g.db)
		if err != nil || r.Hash != policy.Revision(src) && r.ID != 0 {
			return // a newer one came meanwhile, and is loaded next
		}
		next = &effect{id: r.ID, engine: g.engine.Revision(), since: time.Now().UTC()}
	}
	g.effects.mu.Lock()
	defer g.effects.mu.Unlock()
	was := g.effects.current.Load()
	if was != nil && next != nil && was.id == next.id && was.engine == next.engine {
		return
	}
	g.effects.current.Store(next)
	if was != nil {
		g.effects.former = append(g.effects.former, was)
	}
}

// countEffects adds what was counted to the store. What cannot be kept there is
// counted again the next time.
func (g *gateway) countEffects(ctx context.Context) {
	g.effects.mu.Lock()
	defer g.effects.mu.Unlock()
	all := g.effects.former
	if c := g.effects.current.Load(); c != nil {
		all = append(all[:len(all):len(all)], c)
	}
	made, from := map[int64]change.Effect{}, map[int64]*effect{}
	for _, c := range all {
		e, any := c.take()
		if !any || c.id == 0 {
			continue
		}
		if had, twice := made[c.id]; twice { // published, replaced and brought back by a reload
			e = change.Effect{Allowed: e.Allowed + had.Allowed, Challenged: e.Challenged + had.Challenged, Denied: e.Denied + had.Denied, First: had.First, Last: e.Last}
		}
		made[c.id], from[c.id] = e, c
	}
	g.effects.former = nil
	if len(made) == 0 {
		return
	}
	if err := g.db.AddEffect(ctx, g.cfg.Load().AccessLog.Node, made); err != nil {
		g.logger.ErrorContext(ctx, "counting decisions", "err", err)
		for id, e := range made {
			c := from[id]
			c.allowed.Add(e.Allowed)
			c.challenged.Add(e.Challenged)
			c.denied.Add(e.Denied)
			c.first.Store(e.First.UnixNano())
			if c != g.effects.current.Load() {
				g.effects.former = append(g.effects.former, c)
			}
		}
	}
}
