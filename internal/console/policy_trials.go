package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
)

// A trial is a long job on a policy set. Whoever may look at policies sees how
// far it is, whoever began it; its result stays in this process's memory.
type trial struct {
	Number  int
	Kind    string
	About   trialSet
	By      string // who began it
	Started time.Time
	Detail  any // what was asked, for the page

	mu       sync.Mutex
	progress studio.Progress
	ended    time.Time // zero: it runs
	result   any
	err      error
	cancel   context.CancelFunc
}

// A trialSet names the policy set that a trial or a shadow is about: a draft, a
// revision, or with neither what is in force.
type trialSet struct{ Draft, Revision int64 }

// trialState is a trial at one moment.
type trialState struct {
	*trial
	Running  bool
	Progress studio.Progress
	Ended    time.Time
	Result   any
	Err      error
}

// state returns how t is now; the zero state for nil.
func (t *trial) state() trialState {
	if t == nil {
		return trialState{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return trialState{trial: t, Running: t.ended.IsZero(), Progress: t.progress, Ended: t.ended, Result: t.result, Err: t.err}
}

// Percent returns how much of a running trial is done; -1 when that is not known.
func (s trialState) Percent() int {
	if s.Progress.Total <= 0 {
		return -1
	}
	return min(100, s.Progress.Done*100/s.Progress.Total)
}

// Stopped reports whether somebody stopped the trial.
func (s trialState) Stopped() bool { return errors.Is(s.Err, context.Canceled) }

// maxTrials is how many trials are kept; what is oldest goes first.
const maxTrials = 8

// trials are the newest ones, oldest first.
type trials struct {
	mu   sync.Mutex
	all  []*trial
	last int
}

// newest returns the newest trial of a kind about a set, nil for none.
func (k *trials) newest(kind string, about trialSet) *trial {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range slices.Backward(k.all) {
		if t.Kind == kind && t.About == about {
			return t
		}
	}
	return nil
}

// begin runs work in the background, which goes on when the visitor leaves. Of a
// kind about a set only one runs at a time: begin returns the one that runs.
func (k *trials) begin(ctx context.Context, t *trial, now func() time.Time, work func(context.Context, func(studio.Progress)) (any, error)) *trial {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, o := range k.all {
		if o.Kind == t.Kind && o.About == t.About && o.state().Running {
			return o
		}
	}
	for len(k.all) >= maxTrials {
		k.all[0].stop()
		k.all = k.all[1:]
	}
	ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	k.last++
	t.Number, t.Started = k.last, now()
	k.all = append(k.all, t)
	go func() {
		defer t.cancel()
		result, err := work(ctx, t.tell)
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.result, t.err, t.ended = result, err, now()
	}()
	return t
}

func (t *trial) tell(p studio.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress = p
}

// stop ends a trial; one that has ended stays as it is.
func (t *trial) stop() {
	if t != nil {
		t.cancel()
	}
}

// StopTrials ends every trial that runs, for shutdown.
func (c *Console) StopTrials() {
	c.desk.trials.mu.Lock()
	defer c.desk.trials.mu.Unlock()
	for _, t := range c.desk.trials.all {
		t.stop()
	}
}

// refreshEvery is how often the page of a running trial loads itself again, in seconds.
const refreshEvery = "2"

// refreshing has the browser load the page again soon, without a script.
func refreshing(w http.ResponseWriter) { w.Header().Set("Refresh", refreshEvery) }

// trialWords says how a trial went wrong, for people.
func trialWords(err error) ui.Text {
	if l, ok := errors.AsType[*studio.LimitError](err); ok {
		return ui.Say("It was stopped: the policies need more of this than a trial may have: {1}.", ui.Known(l.What))
	}
	if f, ok := errors.AsType[*studio.FailedError](err); ok {
		return ui.Say("It could not be done: {1}", ui.Verbatim(f.Message))
	}
	return "It could not be done. The gateway's operational log says why."
}

// setOf reads which policy set is meant out of the values draft and revision.
func setOf(draft, revision string) (s trialSet, err error) {
	for _, n := range []struct {
		text string
		to   *int64
	}{{draft, &s.Draft}, {revision, &s.Revision}} {
		if n.text == "" {
			continue
		}
		if *n.to, err = strconv.ParseInt(n.text, 10, 64); err != nil || *n.to <= 0 {
			return s, ui.NotFound()
		}
	}
	if s.Draft != 0 && s.Revision != 0 {
		return s, ui.NotFound()
	}
	return s, nil
}

// query names the set in an address, after a question mark; empty for what is in force.
func (s trialSet) query() string {
	switch {
	case s.Draft != 0:
		return "?draft=" + strconv.FormatInt(s.Draft, 10)
	case s.Revision != 0:
		return "?revision=" + strconv.FormatInt(s.Revision, 10)
	}
	return ""
}

// A namedSet is a policy set with its modules.
type namedSet struct {
	trialSet
	Title   string
	Hash    string
	Modules map[string]string
	draft   *change.Draft
}

// URL returns the page about the set itself.
func (s namedSet) URL() string {
	switch {
	case s.Draft != 0:
		return "/console/policies/drafts/" + strconv.FormatInt(s.Draft, 10)
	case s.Revision != 0:
		return "/console/policies/revisions/" + strconv.FormatInt(s.Revision, 10)
	}
	return "/console/policies"
}

// Name says which set it is.
func (s namedSet) Name() ui.Text {
	switch {
	case s.Draft != 0:
		return ui.Say("the draft “{1}”", s.Title)
	case s.Revision != 0:
		return ui.Say("revision {1}, “{2}”", s.Revision, s.Title)
	}
	return "the policies in force"
}

// set reads a policy set; that in force where neither a draft nor a revision is named.
func (c *Console) set(ctx context.Context, about trialSet) (namedSet, error) {
	out := namedSet{trialSet: about}
	var err error
	switch {
	case about.Draft != 0:
		var d change.Draft
		d, err = c.Changes.Draft(ctx, about.Draft)
		out.Title, out.Hash, out.Modules, out.draft = d.Title, d.Hash, d.Modules, &d
	case about.Revision != 0:
		var r change.Revision
		r, err = c.Changes.Revision(ctx, about.Revision)
		out.Title, out.Hash, out.Modules = r.Title, r.Hash, r.Modules
	default:
		out.Modules, err = c.inForce(ctx)
	}
	if errors.Is(err, change.ErrNotFound) {
		err = ui.NotFound()
	}
	if out.Modules == nil {
		out.Modules = map[string]string{}
	}
	return out, err
}

// inForce returns the modules in force.
func (c *Console) inForce(ctx context.Context) (map[string]string, error) {
	if c.Sets != nil {
		m, _ := c.Sets.InForce()
		return m, nil
	}
	all, err := c.Changes.Revisions(ctx)
	if err != nil || len(all) == 0 {
		return map[string]string{}, err
	}
	newest, err := c.Changes.Revision(ctx, all[0].ID)
	return newest.Modules, err
}

// keepFigures has a draft remember what a trial of its modules found.
func (c *Console) keepFigures(ctx context.Context, s namedSet, fill func(*change.Figures)) error {
	if s.draft == nil {
		return nil
	}
	d, err := c.Changes.Draft(ctx, s.Draft) // as it is now: another trial may have ended meanwhile
	if err != nil || d.Hash != s.Hash {
		return err
	}
	f := d.Figures
	if f.Of != s.Hash {
		f = change.Figures{Of: s.Hash}
	}
	f.At = c.Now().UTC()
	fill(&f)
	return c.Changes.KeepFigures(ctx, s.Draft, f)
}
