package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/ui"
)

// shadowPage shows what decides beside the policies in force, and what it
// would have decided otherwise.
type shadowPage struct {
	Base
	Faults  []ui.Text
	Shown   *shadowView // nil: there was none yet
	Groups  []differenceRow
	Left    bool // there are more groups than are kept
	Earlier []shadowView
	Choose  ui.Field // what to start; no options: nothing can be
	May     bool     // start and stop
	Empty   ui.Empty
}

type shadowView struct {
	change.Shadow
	Of    namedSet
	Run   bool
	By    string
	Ended string
	URL   string
}

// Agree returns how many requests were decided alike.
func (s shadowView) Agree() int64 { return max(0, s.Counts.Decided-s.Counts.Differ()) }

// differenceRow is a group of requests that two policy sets decide differently.
type differenceRow struct {
	Turn       ui.Badge
	Count      int64
	Who        ui.Link
	Vendor     string
	Cluster    ui.Link
	Route      string
	Old, New   ui.Badge
	OldReasons []string
	NewReasons []string
	OldBound   ui.Text // obligations
	NewBound   ui.Text
	First      time.Time
	Last       time.Time
	Examples   []exampleLink
}

// exampleLink leads to one request of a group.
type exampleLink struct {
	Index uint64
	Open  string // its entry; empty: the visitor may not read the log
	Try   string // empty: nothing can be tried here
	Time  time.Time
	What  string // method and path; empty: see the entry
}

const shadowPath = "/console/policies/shadow"

func (c *Console) shadow(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showShadow(w, r, v, newForm(r.URL.Query()), http.StatusOK)
}

func (c *Console) showShadow(w http.ResponseWriter, r *http.Request, v *visit, f *form, status int) error {
	all, err := c.Shadows.Shadows(r.Context())
	if err != nil {
		return err
	}
	page := shadowPage{Base: v.page("Shadow"), Faults: f.Notes, May: v.mayChange()}
	shown := 0
	if id := f.Value("id"); id != "" {
		if shown = slices.IndexFunc(all, func(s change.Shadow) bool { return strconv.FormatInt(s.ID, 10) == id }); shown < 0 {
			return ui.NotFound()
		}
	}
	for i := range all {
		view := newShadowView(all[i])
		if i != shown {
			page.Earlier = append(page.Earlier, view)
			continue
		}
		page.Shown = &view
	}
	if page.Shown != nil {
		if err := c.recordRead(r, v, "log.shadow", "shadow:"+strconv.FormatInt(page.Shown.ID, 10), nil); err != nil {
			return err
		}
		found, err := c.Shadows.Differences(r.Context(), page.Shown.ID)
		if err != nil {
			return err
		}
		page.Left = len(found) >= change.MaxDifferences
		clusters, limited := v.logClusters()
		for i := range found {
			if limited && !slices.Contains(clusters, found[i].Cluster) {
				continue
			}
			page.Groups = append(page.Groups, v.differenceRow(&found[i], page.Shown.trialSet()))
		}
	}
	if page.Choose, err = c.shadowChoice(r, v, f, all); err != nil {
		return err
	}
	page.Empty = ui.Empty{Title: "Nothing has decided in shadow yet", Text: "A draft or a revision can decide beside the policies in force, about the same requests. What it would decide otherwise is counted and listed here, and nothing of it is enforced."}
	return c.show(w, r, status, "console-policy-shadow", page)
}

func newShadowView(s change.Shadow) shadowView {
	v := shadowView{Shadow: s, Run: s.Running(), By: orElse(s.Started.Email, s.Started.Account), Ended: orElse(s.Stopped.Email, s.Stopped.Account), URL: shadowPath + "?id=" + strconv.FormatInt(s.ID, 10)}
	v.Of = namedSet{trialSet: v.trialSet(), Title: s.Title}
	return v
}

func (s shadowView) trialSet() trialSet { return trialSet{s.Draft, s.Revision} }

// shadowChoice lists what can be started: drafts that are not published or given
// up, and the newest revisions. It has no options while something runs.
func (c *Console) shadowChoice(r *http.Request, v *visit, f *form, all []change.Shadow) (ui.Field, error) {
	if !v.mayChange() || slices.ContainsFunc(all, func(s change.Shadow) bool { return s.Running() }) {
		return ui.Field{}, nil
	}
	drafts, err := c.Changes.Drafts(r.Context())
	if err != nil {
		return ui.Field{}, err
	}
	revisions, err := c.Changes.Revisions(r.Context())
	if err != nil {
		return ui.Field{}, err
	}
	var choices []ui.Option
	for _, d := range drafts {
		if d.State == change.Open || d.State == change.InReview {
			choices = append(choices, ui.Option{Value: "draft:" + strconv.FormatInt(d.ID, 10), Label: ui.Say("Draft: {1}", d.Title)})
		}
	}
	for _, n := range revisions[:min(len(revisions), 20)] {
		choices = append(choices, ui.Option{Value: "revision:" + strconv.FormatInt(n.ID, 10), Label: ui.Say("Revision {1}: {2}", n.ID, n.Title)})
	}
	if choices == nil {
		return ui.Field{}, nil
	}
	for _, kind := range []string{"draft", "revision"} {
		if id := f.Value(kind); id != "" && f.Value("of") == "" {
			f.set("of", kind+":"+id)
		}
	}
	return with(f.choice("of", "What is to decide in shadow?", "", choices), func(u *ui.Field) { u.Required = true }), nil
}

func (v *visit) differenceRow(d *change.Difference, about trialSet) differenceRow {
	row := differenceRow{Turn: turnBadge(d.Turn), Count: d.Count, Vendor: d.Vendor, Route: d.Route,
		Who:     ui.Link{Label: ui.Verbatim(orElse(d.Email, d.Account)), URL: "/console/people/" + url.PathEscape(d.Account)},
		Cluster: ui.Link{Label: ui.Verbatim(d.Cluster), URL: "/console/clusters/" + url.PathEscape(d.Cluster)},
		First:   d.First, Last: d.Last, Old: effectBadge(d.OldEffect), New: effectBadge(d.NewEffect), OldReasons: codesOf(d.OldReasons), NewReasons: codesOf(d.NewReasons)}
	for _, e := range slices.Backward(d.Entries) {
		row.Examples = append(row.Examples, v.example(e, about))
	}
	return row
}

// example leads to an entry, for whoever may read it.
func (v *visit) example(index uint64, about trialSet) exampleLink {
	n := strconv.FormatUint(index, 10)
	x := exampleLink{Index: index}
	if v.mayReview() {
		x.Open = "/console/log/" + n
	}
	if _, ok := v.c.needOf(tryPath); ok && mayReview.met(v.Session) {
		x.Try = tryPath + "?entry=" + n
		if about.Draft != 0 {
			x.Try += "&draft=" + strconv.FormatInt(about.Draft, 10)
		}
	}
	return x
}

func codesOf(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// turnBadge says how decisions differ.
func turnBadge(turn string) ui.Badge {
	switch turn {
	case "widened":
		return ui.Badge{Kind: ui.Warn, Text: "let in"}
	case "narrowed":
		return ui.Badge{Kind: ui.Bad, Text: "shut out"}
	}
	return ui.Badge{Kind: ui.Neutral, Text: "reworded"}
}

func (c *Console) startShadow(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	kind, id, _ := strings.Cut(f.Value("of"), ":")
	var about trialSet
	var err error
	switch kind {
	case "draft":
		about, err = setOf(id, "")
	case "revision":
		about, err = setOf("", id)
	default:
		err = ui.NotFound()
	}
	if err != nil || about == (trialSet{}) {
		return ui.NotFound()
	}
	set, err := c.set(r.Context(), about)
	if err != nil {
		return err
	}
	_, err = c.Shadows.Start(r.Context(), v.Actor(), change.Shadow{Draft: about.Draft, Revision: about.Revision, Title: set.Title, Modules: set.Modules})
	if faulty, ok := errors.AsType[*change.FaultyError](err); ok {
		f.note("It cannot decide: {1}", ui.Verbatim(faulty.Fault))
		return c.showShadow(w, r, v, f, http.StatusUnprocessableEntity)
	}
	if errors.Is(err, change.ErrShadowRuns) {
		f.note("Another policy set decides in shadow already. Stop it first.")
		return c.showShadow(w, r, v, f, http.StatusConflict)
	}
	if err != nil {
		return err
	}
	return c.seeOther(w, r, v, shadowPath, "It decides in shadow from now on. Nothing of it is enforced.")
}

func (c *Console) stopShadow(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := strconv.ParseInt(r.PostForm.Get("id"), 10, 64)
	if err != nil {
		return ui.NotFound()
	}
	err = c.Shadows.Stop(r.Context(), v.Actor(), id)
	if errors.Is(err, change.ErrNotFound) {
		return ui.NotFound()
	}
	if err != nil {
		return err
	}
	return c.seeOther(w, r, v, shadowPath+"?id="+strconv.FormatInt(id, 10), "It decides no more. What it found stays here.")
}
