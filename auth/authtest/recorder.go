package authtest

import (
	"context"
	"slices"
	"sync"

	"github.com/ringfence/ringfence/policy"
)

// A Recorder keeps records in memory. The zero Recorder is ready and safe for
// concurrent use.
type Recorder struct {
	mu      sync.Mutex
	err     error
	records []policy.Record
}

// Record implements [auth.Recorder].
func (r *Recorder) Record(_ context.Context, rec *policy.Record) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	r.records = append(r.records, *rec)
	return uint64(len(r.records) - 1), nil
}

// Fail makes every further Record return err; nil ends that.
func (r *Recorder) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// Records returns what was recorded so far.
func (r *Recorder) Records() []policy.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.records)
}

// Actions returns the actions recorded so far, in order.
func (r *Recorder) Actions() []string {
	var out []string
	for _, rec := range r.Records() {
		out = append(out, rec.Action)
	}
	return out
}

// Last returns the newest record of the action, and false when there is none.
func (r *Recorder) Last(action string) (policy.Record, bool) {
	for _, rec := range slices.Backward(r.Records()) {
		if rec.Action == action {
			return rec, true
		}
	}
	return policy.Record{}, false
}
