package console

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// replayPage shows what a draft would have decided about recorded requests.
type replayPage struct {
	Base
	About  namedSet
	URL    string
	Trial  trialState
	Asked  replayAsked
	Fault  ui.Text
	Faults []ui.Text
	Ask    []ui.Field
	Stale  bool // the draft's rules have changed since
	Result *studio.ReplayResult
	Unfit  []unfitRow
	Groups []differenceRow
	Pager  ui.Pager
	Tests  string // the version of the draft that a test can be added to; empty: none can
}

// Same returns how many requests are decided as before.
func (p replayPage) Same() int {
	r := p.Result
	return max(0, r.Replayed-r.Widened-r.Narrowed-r.Reworded)
}

// unfitRow is a cause for which requests could not be replayed.
type unfitRow struct {
	Count int
	Why   ui.Text
}

// replayAsked is what was asked of a replay.
type replayAsked struct {
	Since, Until             time.Time
	Account, Vendor, Cluster string
	Rules                    string // hash of the modules that decide
	set                      namedSet
}

func replayPath(draft int64) string {
	return "/console/policies/drafts/" + strconv.FormatInt(draft, 10) + "/replay"
}

func (c *Console) replay(w http.ResponseWriter, r *http.Request, v *visit) error {
	about, err := setOf(r.PathValue("id"), "")
	if err != nil {
		return err
	}
	return c.showReplay(w, r, v, about, newForm(r.URL.Query()), http.StatusOK)
}

func (c *Console) showReplay(w http.ResponseWriter, r *http.Request, v *visit, about trialSet, f *form, status int) error {
	if err := v.mayReadAll(); err != nil { // what it found is of requests to every cluster, whoever asked
		return err
	}
	set, err := c.set(r.Context(), about)
	if err != nil {
		return err
	}
	page := replayPage{Base: v.page("Replay"), About: set, URL: replayPath(about.Draft), Trial: c.desk.trials.newest("replay", about).state(), Faults: f.Notes}
	page.Asked, _ = page.Trial.detail().(replayAsked)
	page.Ask = replayFields(v, f, page.Asked)
	page.Stale = page.Trial.trial != nil && page.Asked.Rules != rulesHash(set.Modules)
	switch result, ok := page.Trial.Result.(studio.ReplayResult); {
	case page.Trial.Running:
		refreshing(w)
	case page.Trial.Err != nil && !page.Trial.Stopped():
		page.Fault = trialWords(page.Trial.Err)
	case ok:
		if err := c.recordRead(r, v, "log.replayed", "draft:"+strconv.FormatInt(about.Draft, 10), page.Asked.detail()); err != nil {
			return err
		}
		page.Result = &result
		page.Unfit = unfitRows(&result)
		page.fill(v, f)
		if d := set.draft; mayManage.met(v.Session) && !c.Changes.Origin().ReadOnly() && (d.State == change.Open || d.State == change.InReview) && !page.Stale {
			page.Tests = strconv.Itoa(d.Version)
		}
	}
	return c.show(w, r, status, "console-policy-replay", page)
}

// replayFields are what can be asked, with what was asked the last time.
func replayFields(v *visit, f *form, asked replayAsked) []ui.Field {
	if len(f.values) == 0 || f.values.Has("page") && len(f.values) == 1 {
		if asked.Rules == "" {
			f.set("since", v.Now.AddDate(0, 0, -7).Format(time.DateOnly))
		} else {
			f.set("since", asked.Since.Format(time.RFC3339))
			f.set("account", asked.Account)
			f.set("vendor", asked.Vendor)
			f.set("cluster", asked.Cluster)
			if !asked.Until.IsZero() {
				f.set("until", asked.Until.Format(time.RFC3339))
			}
		}
	}
	d := v.Snapshot.Directory()
	return []ui.Field{
		with(f.text("since", "From (UTC)"), func(u *ui.Field) {
			u.Required, u.MaxLength, u.Hint = true, 40, "A day, a time, or how long ago, such as 7d."
		}),
		with(f.text("until", "Until (UTC)"), func(u *ui.Field) { u.MaxLength, u.Hint = 40, "Empty: now." }),
		with(f.search("account", "Account"), func(u *ui.Field) { u.Hint = "An address; empty: everybody's." }),
		f.choice("vendor", "Vendor", "Every vendor", vendorOptions(d)),
		f.choice("cluster", "Cluster", "Every cluster", clusterOptions(d)),
	}
}

// fill shows the groups, what would be let in first.
func (p *replayPage) fill(v *visit, f *form) {
	examples := map[uint64]*studio.ReplayExample{}
	for i := range p.Result.Examples {
		examples[p.Result.Examples[i].Index] = &p.Result.Examples[i]
	}
	groups, pager := paged(p.Result.Groups, f.pageNumber("page"), p.URL, url.Values{}, "group")
	p.Pager = pager
	for i := range groups {
		g := &groups[i]
		row := v.differenceRow(&change.Difference{Count: int64(g.Count), First: g.First, Last: g.Last, DifferenceKey: change.DifferenceKey{
			Turn: g.Kind, Account: g.Account, Email: g.Email, Vendor: g.Vendor, Cluster: g.Cluster, Route: g.Route,
			OldEffect: g.Old.Effect.String(), OldReasons: strings.Join(g.Old.Reasons, ","), NewEffect: g.New.Effect.String(), NewReasons: strings.Join(g.New.Reasons, ",")}}, p.About.trialSet)
		row.OldBound, row.NewBound = obligationsInWords(g.Old.Obligations), obligationsInWords(g.New.Obligations)
		for _, index := range g.Entries {
			x := v.example(index, p.About.trialSet)
			if e := examples[index]; e != nil {
				x.Time = e.Time
				if mayReview.met(v.Session) { // a single request is for readers of the log
					x.What = e.Method + " " + e.Path
				}
			}
			row.Examples = append(row.Examples, x)
		}
		p.Groups = append(p.Groups, row)
	}
}

// unfitRows says why requests could not be replayed, the commonest cause first.
func unfitRows(r *studio.ReplayResult) (out []unfitRow) {
	for _, cause := range slices.Sorted(maps.Keys(r.Unfit)) {
		row := unfitRow{Count: r.Unfit[cause]}
		switch cause {
		case studio.UnfitContract:
			row.Why = "were recorded under another version of the contract with policies"
		case studio.UnfitEarlier:
			row.Why = "are from before whole inputs were recorded, and a policy reads what was not kept then"
		case studio.UnfitWithheld:
			row.Why = ui.Say("hold something that a policy reads and that is not kept: {1}", strings.Join(slices.Sorted(maps.Keys(r.Withheld)), ", "))
		case studio.UnfitFacts:
			row.Why = "name facts that are not to be had any more"
		case studio.UnfitLarge:
			row.Why = "were refused for their size, so not all of them was kept"
		case studio.UnfitTimeout:
			row.Why = "were refused because the policies took too long"
		default:
			row.Why = ui.Say("could not be decided again ({1})", ui.Verbatim(cause))
		}
		out = append(out, row)
	}
	slices.SortStableFunc(out, func(a, b unfitRow) int { return b.Count - a.Count })
	return out
}

// rulesHash names the modules that decide: a draft to which a test was added
// decides as it did before.
func rulesHash(modules map[string]string) string {
	rules := maps.Clone(modules)
	maps.DeleteFunc(rules, func(name, _ string) bool { return strings.HasSuffix(name, "_test.rego") })
	return policy.Revision(rules)
}

// beginReplay starts a replay. It reads the access log, which is recorded first.
func (c *Console) beginReplay(w http.ResponseWriter, r *http.Request, v *visit) error {
	about, err := setOf(r.PathValue("id"), "")
	if err != nil {
		return err
	}
	f := posted(r)
	d := v.Snapshot.Directory()
	asked := replayAsked{Since: f.moment("since", v.Now, false), Until: f.moment("until", v.Now, true), Account: f.line("account", "an account", 254, false),
		Vendor: f.oneOf("vendor", "a vendor", append(names(d.Vendors, vendorName), "")), Cluster: f.oneOf("cluster", "a cluster", append(names(d.Clusters, clusterName), ""))}
	if asked.Since.IsZero() && f.Fault("since") == "" {
		f.fault("since", "Give a date.")
	}
	if !asked.Until.IsZero() && !asked.Since.Before(asked.Until) {
		f.fault("until", "This is not after the beginning, {1}.", clock(asked.Since))
	}
	if !f.OK() {
		return c.showReplay(w, r, v, about, f, http.StatusUnprocessableEntity)
	}
	if asked.set, err = c.set(r.Context(), about); err != nil {
		return err
	}
	asked.Rules = rulesHash(asked.set.Modules)
	now, err := c.inForce(r.Context())
	if err != nil {
		return err
	}
	if err := v.mayReadAll(); err != nil {
		return err
	}
	before := c.Log.Size()
	if err := c.recordRead(r, v, "log.replay", "draft:"+strconv.FormatInt(about.Draft, 10), asked.detail()); err != nil {
		return err
	}
	ask := studio.ReplayRequest{Log: c.LogFolder, Since: asked.Since, Until: asked.Until, Before: before, Old: now, New: asked.set.Modules,
		Account: asked.Account, Vendor: asked.Vendor, Cluster: asked.Cluster}
	whole := asked.Account == "" && asked.Vendor == "" && asked.Cluster == ""
	c.desk.trials.begin(r.Context(), &trial{Kind: "replay", About: about, By: v.Session.Email, Detail: asked}, c.Now, func(ctx context.Context, tell func(studio.Progress)) (any, error) {
		res, err := c.Studio.Replay(ctx, ask, tell)
		if err != nil {
			c.Logger.Warn("replaying recorded requests", "draft", about.Draft, "err", err)
			return nil, err
		}
		if !whole { // a part of the traffic would look like all of it in the review
			return res, nil
		}
		return res, c.keepFigures(ctx, asked.set, func(f *change.Figures) {
			f.Since, f.Until = asked.Since, asked.Until
			if f.Until.IsZero() {
				f.Until = v.Now
			}
			f.Replayed, f.Unfit, f.Widened, f.Narrowed, f.Reworded = res.Replayed, res.UnfitTotal(), res.Widened, res.Narrowed, res.Reworded
		})
	})
	return c.seeOther(w, r, v, replayPath(about.Draft), "")
}

func (a replayAsked) detail() map[string]string {
	out := map[string]string{"since": a.Since.Format(time.RFC3339)}
	for name, value := range map[string]string{"account": a.Account, "vendor": a.Vendor, "cluster": a.Cluster} {
		if value != "" {
			out[name] = value
		}
	}
	if !a.Until.IsZero() {
		out["until"] = a.Until.Format(time.RFC3339)
	}
	return out
}

func (c *Console) stopReplay(w http.ResponseWriter, r *http.Request, v *visit) error {
	about, err := setOf(r.PathValue("id"), "")
	if err != nil {
		return err
	}
	c.desk.trials.newest("replay", about).stop()
	return c.seeOther(w, r, v, replayPath(about.Draft), "Stopped.")
}
