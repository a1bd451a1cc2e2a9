package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// addRecordedTest turns a request that a replay found into a unit test of the draft.
func (c *Console) addRecordedTest(w http.ResponseWriter, r *http.Request, v *visit) error {
	about, err := setOf(r.PathValue("id"), "")
	if err != nil {
		return err
	}
	index, err := strconv.ParseUint(r.PostForm.Get("entry"), 10, 63)
	seen, seenErr := strconv.Atoi(r.PostForm.Get("seen"))
	if err != nil || seenErr != nil {
		return ui.NotFound()
	}
	set, err := c.set(r.Context(), about)
	if err != nil {
		return err
	}
	if set.draft.Version != seen { // figures are carried on below from what was read here
		return recordedTestError(&change.ConflictError{Now: *set.draft})
	}
	result, _ := c.desk.trials.newest("replay", about).state().Result.(studio.ReplayResult)
	i := slices.IndexFunc(result.Groups, func(g studio.ReplayGroup) bool { return slices.Contains(g.Entries, index) })
	if i < 0 {
		return &ui.Error{Status: http.StatusGone, Title: "The replay is gone", Detail: "What the replay found is no longer kept here. Replay again, then make the test."}
	}
	want := result.Groups[i].Old
	if r.PostForm.Get("expect") == "new" {
		want = result.Groups[i].New
	}
	in, err := c.recordedInput(r, v, index, "test")
	if errors.Is(err, accesslog.ErrNotDecided) || errors.Is(err, accesslog.ErrNoFacts) {
		return &ui.Error{Status: http.StatusConflict, Err: err, Detail: "Not all that this request was decided from was recorded."}
	}
	if err != nil {
		return err
	}
	name, text, err := studio.UnitTest(in, set.Modules, decisionOf(&want))
	if err != nil {
		return err
	}
	saved, err := c.Changes.Save(r.Context(), v.Actor(), about.Draft, seen, change.Edit{Write: map[string]string{name: text}})
	if err != nil {
		return recordedTestError(err)
	}
	if err := c.carryFigures(r.Context(), set, saved); err != nil {
		c.Logger.Warn("keeping the figures of a draft", "draft", about.Draft, "err", err)
	}
	return c.seeOther(w, r, v, replayPath(about.Draft), ui.Say("The test stands in {1}.", name))
}

func recordedTestError(err error) error {
	_, conflict := errors.AsType[*change.ConflictError](err)
	switch {
	case conflict:
		return &ui.Error{Status: http.StatusConflict, Title: "Somebody else has changed the draft", Detail: "The test was not added. Open the replay again, then add it."}
	case errors.Is(err, change.ErrReadOnly), errors.Is(err, change.ErrState):
		return &ui.Error{Status: http.StatusConflict, Detail: "This draft cannot be changed now."}
	}
	return err
}

// recordedInput rebuilds what an entry was decided from. Reading the entry is
// recorded, with what it is for. The error is that of [accesslog.Entry.Input]
// where the entry does not give it.
func (c *Console) recordedInput(r *http.Request, v *visit, index uint64, purpose string) (*policy.Input, error) {
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	e, err := c.entryAt(ctx, index)
	if err != nil {
		return nil, err
	}
	if e == nil || !v.maySee(e) {
		return nil, ui.NotFound()
	}
	n := strconv.FormatUint(index, 10)
	if err := c.recordRead(r, v, "log.entry", "entry:"+n, map[string]string{"index": n, "for": purpose}); err != nil {
		return nil, err
	}
	in, _, err := c.inputOf(ctx, e)
	return in, err
}

// decisionOf returns what a replay noted of a decision, which has no sentences.
func decisionOf(o *studio.ReplayOutcome) policy.Decision {
	d := policy.Decision{Effect: o.Effect}
	for _, code := range o.Reasons {
		d.Reasons = append(d.Reasons, policy.Reason{Code: code})
	}
	if o.Obligations != nil {
		d.Obligations = *o.Obligations
	}
	return d
}

// carryFigures keeps what a replay and a matrix found where only a test was
// added: tests decide nothing. What tests find is asked anew.
func (c *Console) carryFigures(ctx context.Context, before namedSet, now change.Draft) error {
	f := before.draft.Figures
	if f.Of != before.Hash {
		return nil
	}
	f.Of, f.Tests, f.Coverage, f.Holes = now.Hash, 0, 0, 0
	return c.Changes.KeepFigures(ctx, now.ID, f)
}
