package studio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

const (
	checkEvery  = 64 // one recorded decision of so many is checked
	tellEvery   = 100 * time.Millisecond
	maxChecked  = 1_000 // differing decisions, of each worker, that are all checked
	maxTimeouts = 20    // decisions that may take too long before a draft is given up on
)

// errDiffers: a recorded decision is not what its set decides now.
var errDiffers = errors.New("a recorded decision is not what the same policies decide now")

func replay(ctx context.Context, a ReplayRequest, tell func(Progress)) (ReplayResult, error) {
	start := time.Now()
	// What is decided is garbage at once: collecting it less often is a third
	// of the time.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	p, err := newReplayer(ctx, a)
	if err != nil {
		return ReplayResult{}, err
	}
	p.told = tell
	out, err := p.run(ctx)
	if errors.Is(err, errDiffers) { // nothing recorded is believed then
		checked, differed := out.Checked, out.Differed
		p.req.Afresh = true
		out, err = p.run(ctx)
		out.Checked, out.Differed = checked, differed
	}
	out.Took = time.Since(start)
	return out, err
}

// A replayer holds the policy sets of one job.
type replayer struct {
	req      ReplayRequest
	filter   accesslog.Filter
	old, new *rego.Judge
	recorded map[string]*rego.Judge // by the revision in entries, when comparing with those
	same     sync.Map               // cluster: whether nothing that governs it differs
	told     func(Progress)
	timeouts atomic.Int64
}

func newReplayer(ctx context.Context, a ReplayRequest) (*replayer, error) {
	p := &replayer{req: a, filter: accesslog.Filter{Account: a.Account, Vendor: a.Vendor, Cluster: a.Cluster}}
	var err error
	if a.Recorded != nil {
		p.recorded = map[string]*rego.Judge{}
		return p, p.compileRecorded(ctx)
	}
	if p.old, err = rego.NewJudge(ctx, a.Old); err != nil {
		return nil, fmt.Errorf("the old policies: %w", err)
	}
	if p.new, err = rego.NewJudge(ctx, a.New); err != nil {
		return nil, fmt.Errorf("the new policies: %w", err)
	}
	return p, nil
}

// compileRecorded compiles each set that entries can name. One that this build
// refuses, as a later one may, is kept as nil.
func (p *replayer) compileRecorded(ctx context.Context) error {
	p.recorded = map[string]*rego.Judge{}
	for revision, modules := range p.req.Recorded {
		j, err := rego.NewJudge(ctx, modules)
		if unlessFound(err) != nil {
			return fmt.Errorf("the policies of revision %s: %w", revision, err)
		}
		p.recorded[revision] = j
		if j != nil && p.recorded[j.Revision()] == nil && p.req.Recorded[j.Revision()] == nil {
			p.recorded[j.Revision()] = j
		}
	}
	return nil
}

// run goes through the log once, with a worker a core.
func (p *replayer) run(ctx context.Context) (ReplayResult, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan *accesslog.Batch, runtime.GOMAXPROCS(0))
	tallies := make([]*tally, runtime.GOMAXPROCS(0))
	groups := newGroups()
	var wg sync.WaitGroup
	for i := range tallies {
		t := &tally{groups: groups, unfit: map[string]int{}, withheld: map[string]int{}}
		tallies[i] = t
		wg.Go(func() {
			for b := range batches {
				if ctx.Err() != nil {
					continue // the reader stops by itself
				}
				if err := b.Each(func(e *accesslog.Entry, doc *policy.Document) error { return p.entry(ctx, t, e, doc) }); err != nil {
					cancel(err)
				}
			}
		})
	}
	err := p.read(ctx, batches)
	close(batches)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	out := ReplayResult{Groups: []ReplayGroup{}}
	if p.recorded == nil {
		out.OldRevision, out.NewRevision = p.old.Revision(), p.new.Revision()
	}
	for _, t := range tallies {
		t.addTo(&out)
	}
	groups.addTo(&out)
	return out, err
}

func (p *replayer) read(ctx context.Context, batches chan<- *accesslog.Batch) error {
	total, err := accesslog.Count(ctx, p.req.Log)
	if err != nil {
		return err
	}
	var last time.Time
	return accesslog.Decisions(ctx, p.req.Log, p.req.Since, p.req.Until, p.req.Before, func(b *accesslog.Batch) bool {
		select {
		case batches <- b:
		case <-ctx.Done():
			return false
		}
		if now := time.Now(); now.Sub(last) >= tellEvery {
			last = now
			p.told(Progress{Done: int(b.Last + 1), Total: int(max(total, b.Last+1))})
		}
		return true
	})
}

// entry replays one request.
func (p *replayer) entry(ctx context.Context, t *tally, e *accesslog.Entry, doc *policy.Document) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !p.filter.Match(e) {
		return nil
	}
	in, withheld, err := e.Input(doc)
	switch {
	case errors.Is(err, accesslog.ErrNotDecided):
		t.undecided++
		return nil
	case err != nil:
		t.unfit[UnfitFacts]++
		return nil
	case in.Version != policy.ContractVersion:
		t.unfit[UnfitContract]++
		return nil
	case len(e.Reasons) == 1 && e.Reasons[0] == policy.ReasonRequestTooLarge:
		t.unfit[UnfitLarge]++ // how large it was is not kept
		return nil
	}
	if p.recorded != nil {
		return p.againstRecord(ctx, t, e, in, withheld)
	}
	if p.sameFor(e.Cluster) { // whatever it holds, both decide alike
		t.replayed(e)
		return nil
	}
	old, new := p.old, p.new
	if t.reads(e, withheld, old, new) {
		return nil
	}
	t.replayed(e)
	was, believed := recordedOutcome(e)
	believed = believed && !p.req.Afresh && e.Revision == old.Revision()
	if !believed {
		was = p.decide(ctx, old.Decide, in)
	}
	decide := new.Decide
	if was.Effect == policy.Allow {
		decide = new.DecideAllowed
	}
	now := p.decide(ctx, decide, in)
	if e.Index%checkEvery == 0 || !was.equal(now) && t.flips() < maxChecked {
		if err := p.check(ctx, t, in, believed, was, now); err != nil {
			return err
		}
	}
	t.compare(e, was, now)
	return p.patience(ctx)
}

// check has both sets decide without a short cut: a sample, and most of what is reported.
func (p *replayer) check(ctx context.Context, t *tally, in *policy.Input, believed bool, was, now ReplayOutcome) error {
	if again := p.decide(ctx, p.new.Decide, in); !again.equal(now) && p.timeouts.Load() == 0 && ctx.Err() == nil {
		return fmt.Errorf("replaying: the short way to decide says %s and the long one %s: this is a fault of Ringfence", now.Effect, again.Effect)
	}
	if !believed {
		return nil
	}
	t.checked++
	if again := p.decide(ctx, p.old.Decide, in); !again.equal(was) && ctx.Err() == nil {
		t.differed++
		return errDiffers
	}
	return nil
}

// againstRecord compares what was decided with what is decided now by the same policies.
func (p *replayer) againstRecord(ctx context.Context, t *tally, e *accesslog.Entry, in *policy.Input, withheld []string) error {
	j, known := p.recorded[e.Revision]
	if j == nil {
		cause := UnfitRevision
		if known {
			cause = UnfitPolicies
		}
		t.unfit[cause]++
		return nil
	}
	if t.reads(e, withheld, j) {
		return nil
	}
	was, certain := recordedOutcome(e)
	if !certain {
		t.unfit[UnfitTimeout]++
		return nil
	}
	t.replayed(e)
	t.compare(e, was, p.decide(ctx, j.Decide, in))
	return p.patience(ctx)
}

func (p *replayer) sameFor(cluster string) bool {
	if v, ok := p.same.Load(cluster); ok {
		return v.(bool)
	}
	same := rego.SameFor(p.req.Old, p.req.New, cluster)
	p.same.Store(cluster, same)
	return same
}

func (p *replayer) decide(ctx context.Context, by func(context.Context, *policy.Input) policy.Decision, in *policy.Input) ReplayOutcome {
	d := by(ctx, in)
	if len(d.Reasons) == 1 && d.Reasons[0].Code == policy.ReasonPolicyTimeout {
		p.timeouts.Add(1)
	}
	return outcomeOf(d)
}

// patience ends a replay of policies that do not come to an end, and one that
// was stopped while it decided: what that gave is no decision.
func (p *replayer) patience(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if n := p.timeouts.Load(); n >= maxTimeouts {
		return fmt.Errorf("replaying: %d decisions took longer than they may", n)
	}
	return nil
}

// recordedOutcome returns what the policies decided according to an entry, and
// whether they would decide so again: running out of time is no property of a request.
func recordedOutcome(e *accesslog.Entry) (ReplayOutcome, bool) {
	var o ReplayOutcome
	if in := e.Record.Input; in != nil && in.Allowed {
		return ReplayOutcome{Effect: policy.Allow, Obligations: e.Obligations}, true
	}
	if err := o.Effect.UnmarshalText([]byte(cmp.Or(e.Effect, "deny"))); err != nil {
		return o, false
	}
	o.Reasons, o.Obligations = e.Reasons, e.Obligations
	return o, len(o.Reasons) != 1 || o.Reasons[0] != policy.ReasonPolicyTimeout
}

func outcomeOf(d policy.Decision) ReplayOutcome {
	o := ReplayOutcome{Effect: d.Effect}
	for _, r := range d.Reasons {
		o.Reasons = append(o.Reasons, r.Code)
	}
	if !d.Obligations.IsZero() {
		o.Obligations = &d.Obligations
	}
	return o
}
