package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/ringfence/ringfence/policy"
)

const (
	sweepEvery    = time.Second
	healthTimeout = 5 * time.Second
	endedSession  = "session_ended"
	endedRoute    = "route_removed"
)

// Recheck has every open stream decided anew soon, as [Handler.Run] also does
// by itself every second. It is to be called after any change of directory,
// sessions or policies, returns at once, and is safe for concurrent use.
func (h *Handler) Recheck() {
	h.generation.Add(1)
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Run decides open streams anew, and checks the health of upstreams, until ctx
// is done; then it returns nil.
func (h *Handler) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { h.runHealth(ctx) })
	defer wg.Wait()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	counting := today(h.Now())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
		case <-h.wake:
		}
		h.recheck(ctx)
		if d := today(h.Now()); d > counting {
			counting = d
			h.streams.forgetMeters(d)
		}
	}
}

// recheck decides every open stream anew, several at a time.
func (h *Handler) recheck(ctx context.Context) {
	open := h.streams.all()
	if len(open) == 0 {
		return
	}
	workers := min(len(open), max(1, runtime.GOMAXPROCS(0)/2))
	var wg sync.WaitGroup
	for part := range slices.Chunk(open, (len(open)+workers-1)/workers) {
		wg.Go(func() {
			for _, x := range part {
				if ctx.Err() != nil {
					return
				}
				if reason := h.reconsider(ctx, x); reason != "" {
					x.cut(reason)
				}
			}
		})
	}
	wg.Wait()
}

// reconsider returns why x may no longer go on, empty when it may. It fails
// closed: what panics cuts the stream.
func (h *Handler) reconsider(ctx context.Context, x *exchange) (reason string) {
	defer func() {
		if p := recover(); p != nil {
			h.Logger.Error("deciding open stream", "request_id", x.id, "panic", p, "stack", string(debug.Stack()))
			reason = policy.ReasonPolicyError
		}
	}()
	c := h.clusterOf(x.host)
	if c == nil || c.Name != x.cluster.Name || !slices.ContainsFunc(c.routes, func(r *route) bool {
		return r.Name == x.route.Name && slices.Equal(r.prefix, x.route.prefix)
	}) {
		return endedRoute
	}
	in := x.input
	now := h.Now().UTC()
	in.Request.Time, in.Request.TimeNS = now.Format(time.RFC3339Nano), now.UnixNano()
	in.Resource.Classification = c.Classification
	if !in.Subject.IsAnonymous() {
		s, ok := h.Identifier.Refresh(in.Subject)
		if !ok {
			return endedSession
		}
		in.Subject = s
		if n := x.body.n.Load(); n != x.heard.Swap(n) {
			if t, ok := h.Identifier.(Toucher); ok {
				t.Touch(s)
			}
		}
		if h.Knower != nil {
			in.Facts = h.Knower.Facts(s.Account, c.Name, x.source)
		}
	}
	d := h.Decider.Decide(ctx, &in)
	if ctx.Err() != nil {
		return "" // shutting down: CloseStreams will say so
	}
	if d.Effect == policy.Allow {
		if len(d.Obligations.Mask) > 0 && (x.protocol != protocolHTTP || !x.masks(d.Obligations)) {
			return policy.ReasonNotMaskable // what is on its way passes without the mask
		}
		x.narrow(d.Obligations.MaxResponseBytes)
		x.budget.Store(d.Obligations.EgressBudget)
		return ""
	}
	if len(d.Reasons) > 0 {
		return d.Reasons[0].Code
	}
	return policy.ReasonPolicyUndefined
}

// narrow lowers the limit of a response that is on its way.
func (x *exchange) narrow(limit int64) {
	for limit > 0 {
		old := x.limit.Load()
		if old > 0 && old <= limit || x.limit.CompareAndSwap(old, limit) {
			return
		}
	}
}

func (h *Handler) runHealth(ctx context.Context) {
	tick := time.NewTicker(h.HealthEvery)
	defer tick.Stop()
	for {
		h.checkHealth(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// checkHealth asks each upstream that has a health path, all at once.
func (h *Handler) checkHealth(ctx context.Context) {
	t := h.table.Load()
	if t == nil {
		return
	}
	var wg sync.WaitGroup
	for _, c := range t.clusters {
		for _, r := range c.routes {
			if r.HealthPath == "" {
				continue
			}
			for _, p := range r.pools {
				wg.Go(func() {
					err := p.check(ctx)
					switch {
					case ctx.Err() != nil:
					case err == nil:
						h.reached(p, c.Name, r.Name)
					default:
						h.missed(p, c.Name, r.Name, err)
					}
				})
			}
		}
	}
	wg.Wait()
}

func (p *pool) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.scheme+"://"+p.host+p.health, nil)
	if err != nil {
		return fmt.Errorf("checking health: %w", err)
	}
	r.Header.Set("User-Agent", "Ringfence-Health")
	res, err := p.rt.RoundTrip(r)
	if err != nil {
		return fmt.Errorf("checking health: %w", err)
	}
	defer res.Body.Close()
	io.CopyN(io.Discard, res.Body, 64<<10)
	if res.StatusCode < 200 || res.StatusCode > 399 {
		return fmt.Errorf("checking health: upstream answered %s", res.Status)
	}
	return nil
}

func (h *Handler) reached(p *pool, cluster, route string) {
	if p.succeeded(h.Now()) {
		h.Logger.Info("upstream is healthy", "cluster", cluster, "route", route, "upstream", p.url)
		h.metrics.Upstream(cluster, route, p.url, true)
	}
}

func (h *Handler) missed(p *pool, cluster, route string, err error) {
	if p.failed(h.Now(), err.Error()) {
		h.Logger.Warn("upstream is not healthy", "cluster", cluster, "route", route, "upstream", p.url, "err", err)
		h.metrics.Upstream(cluster, route, p.url, false)
	}
}
