package studio

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// A GapRequest asks for what is missing in a policy set or its tests.
type GapRequest struct {
	Modules map[string]string `json:"modules"`
	// Log is the access log's folder, which is only read; empty: recorded
	// requests play no part.
	Log string `json:"log,omitempty"`
	// Since and Until bound the entries' time, both included; zero: no bound.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Before leaves out entries from this index on; 0: none.
	Before uint64 `json:"before,omitempty"`

	denials bool // what was allowed is left out
}

// What the jobs find, by the names that pages use.
type (
	KnockoutReport = rego.KnockoutReport
	MutantReport   = rego.MutantReport
)

// Kinds of changes, as codes in a [MutantReport].
const (
	MutantDropped    = rego.MutantDropped
	MutantComparison = rego.MutantComparison
	MutantNegation   = rego.MutantNegation
	MutantConstant   = rego.MutantConstant
	MutantMember     = rego.MutantMember
)

// Knockout takes each field that the policies read away from the denials of
// their tests and of the log. Progress counts entries of the log. The reading of
// the log is not recorded here, nor by the other methods of this kind.
func (r *Runner) Knockout(ctx context.Context, a GapRequest, tell func(Progress)) (KnockoutReport, error) {
	return call[rego.KnockoutReport](ctx, r, r.long, "knockout", a, tell)
}

// Mutants changes the policies in small ways and says which changes neither
// their tests nor recorded requests notice. Progress counts changes.
func (r *Runner) Mutants(ctx context.Context, a GapRequest, tell func(Progress)) (MutantReport, error) {
	return call[rego.MutantReport](ctx, r, r.long, "mutants", a, tell)
}

// An UnreachedResult says what real traffic never reached in a span.
type UnreachedResult struct {
	rego.UnreachedReport
	First time.Time `json:"first,omitzero"` // time of the first and last request that was looked at
	Last  time.Time `json:"last,omitzero"`
}

// Unreached says which rules no recorded request reached and which reasons
// none was given. Progress counts entries of the log.
func (r *Runner) Unreached(ctx context.Context, a GapRequest, tell func(Progress)) (UnreachedResult, error) {
	return call[UnreachedResult](ctx, r, r.long, "unreached", a, tell)
}

func knockout(ctx context.Context, a GapRequest, tell func(Progress)) (rego.KnockoutReport, error) {
	k, err := rego.NewKnocker(ctx, a.Modules)
	if err != nil {
		return rego.KnockoutReport{}, err
	}
	if err := k.Tests(ctx); err != nil {
		return rego.KnockoutReport{}, err
	}
	if err := knockRecorded(ctx, k, a, tell); err != nil {
		return rego.KnockoutReport{}, err
	}
	return k.Report(ctx), nil
}

func knockRecorded(ctx context.Context, k *rego.Knocker, a GapRequest, tell func(Progress)) error {
	a.denials = true
	return eachDecision(ctx, a, tell, func(e *accesslog.Entry, in *policy.Input, withheld []string) error {
		if in == nil {
			return nil
		}
		return k.Recorded(ctx, in, withheld, e.Index)
	})
}

func mutants(ctx context.Context, a GapRequest, tell func(Progress)) (rego.MutantReport, error) {
	m, err := rego.NewMutator(ctx, a.Modules)
	if err != nil {
		return rego.MutantReport{}, err
	}
	err = eachDecision(ctx, a, func(Progress) {}, func(_ *accesslog.Entry, in *policy.Input, withheld []string) error {
		if in != nil {
			m.Recorded(ctx, in, withheld)
		}
		return ctx.Err()
	})
	if err != nil {
		return rego.MutantReport{}, err
	}
	return m.Run(ctx, func(done, total int) { tell(Progress{Done: done, Total: total}) })
}

func unreached(ctx context.Context, a GapRequest, tell func(Progress)) (UnreachedResult, error) {
	var out UnreachedResult
	u, err := rego.NewReach(ctx, a.Modules)
	if err != nil {
		return out, err
	}
	var mu sync.Mutex
	err = eachDecision(ctx, a, tell, func(e *accesslog.Entry, in *policy.Input, withheld []string) error {
		mu.Lock()
		if out.First.IsZero() || e.Time.Before(out.First) {
			out.First = e.Time
		}
		if e.Time.After(out.Last) {
			out.Last = e.Time
		}
		mu.Unlock()
		u.Recorded(ctx, in, withheld, e.Revision, e.Reasons)
		return ctx.Err()
	})
	out.UnreachedReport = u.Report()
	return out, err
}

// eachDecision goes through the decisions of the log once, with a worker a
// core: fn must be safe for that. The input is nil where the log does not hold
// it.
func eachDecision(ctx context.Context, a GapRequest, tell func(Progress), fn func(*accesslog.Entry, *policy.Input, []string) error) error {
	if a.Log == "" {
		return nil
	}
	total, err := accesslog.Count(ctx, a.Log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan *accesslog.Batch, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	var done atomic.Uint64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for b := range batches {
				if ctx.Err() != nil {
					continue // the reader stops by itself
				}
				if err := b.Each(func(e *accesslog.Entry, doc *policy.Document) error {
					if e.Revision == "" || a.denials && e.Effect == policy.Allow.String() {
						return ctx.Err() // the policies did not decide it, or it is not asked for
					}
					in, withheld, err := e.Input(doc)
					if err != nil {
						in = nil
					}
					return fn(e, in, withheld)
				}); err != nil {
					cancel(err)
				}
				if b.Last > done.Load() {
					done.Store(b.Last)
				}
			}
		})
	}
	last := time.Now()
	err = accesslog.Decisions(ctx, a.Log, a.Since, a.Until, a.Before, func(b *accesslog.Batch) bool {
		select {
		case batches <- b:
		case <-ctx.Done():
			return false
		}
		if time.Since(last) > tellEvery {
			last = time.Now()
			tell(Progress{Done: int(done.Load()), Total: int(total)})
		}
		return true
	})
	close(batches)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	tell(Progress{Done: int(total), Total: int(total)})
	return err
}
