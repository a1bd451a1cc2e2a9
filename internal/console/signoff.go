package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/review"
	"github.com/ringfence/ringfence/internal/ui"
)

const reviewsPath = "/console/log/reviews"

// reviewPage shows what somebody is about to sign off.
type reviewPage struct {
	Base
	Search             string // title of the saved search; empty: a query that was typed
	Query              string
	First, Last        uint64
	Past               uint64
	SearchID           int64
	Day                string // the day that it is about; empty: any span
	Matched, Own, Open int
	Rows               []entryRow
	Shown              int
	All                string // the page with all of them
	Note               ui.Field
	Faults             []ui.Text
	Back               string
	Nothing            bool
}

// toReview is what a page or a form about a sign-off names.
type toReview struct {
	search      *review.Search // nil: none
	conditions  query.Node
	text        string // of conditions
	first, past uint64
	day         string
}

// where is the condition for the entries.
func (t *toReview) where() query.Node { return query.All(t.conditions, within(t.first, t.past)) }

// rowsToReview is how many entries the page shows.
const rowsToReview = 50

// reviewAsked reads an address: a saved search and a day, or a query up to an
// entry.
func (c *Console) reviewAsked(r *http.Request, v *visit) (*toReview, error) {
	q := r.URL.Query()
	size := c.Log.Size()
	t := &toReview{past: size}
	var bounds []query.Node
	if id := q.Get("search"); id != "" {
		s, err := c.searchOf(r, v, id)
		if err != nil {
			return nil, err
		}
		t.search = s
		q.Set(keptQuery, s.Query)
	}
	if day := q.Get("day"); day != "" {
		at, err := time.Parse(time.DateOnly, day)
		if err != nil || plausible(at) != nil {
			return nil, ui.BadRequest("That is no day.")
		}
		t.day = day
		bounds = append(bounds, query.Bound{Field: query.Since, At: at}, query.Bound{Field: query.Until, At: at.AddDate(0, 0, 1)})
	}
	n, err := query.Parse(q.Get(keptQuery))
	if err != nil {
		return nil, ui.BadRequest("That is no query.")
	}
	conditions, own, ok := unbounded(n)
	if !ok {
		return nil, &ui.Error{Status: http.StatusUnprocessableEntity, Title: "Not possible", Detail: "A query with bounds of time inside other conditions cannot be signed off: it is not clear which entries were reviewed. Put the bounds at its end."}
	}
	if past := q.Get("past"); past != "" {
		p, err := strconv.ParseUint(past, 10, 63)
		if err != nil || p > size {
			return nil, ui.BadRequest("There is no such entry.")
		}
		t.past = p
	}
	t.conditions, t.text = conditions, query.Print(conditions)
	t.first, t.past, err = c.indexesOf(r.Context(), append(own, bounds...), v.Now, t.past)
	return t, err
}

func (c *Console) newReviewForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	t, err := c.reviewAsked(r, v)
	if err != nil {
		return err
	}
	return c.showReview(w, r, v, newForm(nil), t)
}

// showReview shows the entries before somebody says that they reviewed them.
func (c *Console) showReview(w http.ResponseWriter, r *http.Request, v *visit, f *form, t *toReview) error {
	page := reviewPage{Base: v.page("Mark as reviewed"), Query: t.text, First: t.first, Past: t.past, Day: t.day, Faults: f.Notes, Back: searchAddress(t.text)}
	if t.search != nil {
		page.Search, page.SearchID, page.Back = t.search.Title, t.search.ID, queuePath
	}
	page.Note = with(f.text("note", "What did you look at, and what did you find?"), func(u *ui.Field) {
		u.Rows, u.Required, u.MaxLength = 4, true, review.MaxNote
	})
	if t.first >= t.past {
		page.Nothing = true
		return c.show(w, r, f.status(), "log-review", page)
	}
	page.Last = t.past - 1
	full := query.Print(t.where())
	page.All = searchAddress(full)
	if err := c.recordRead(r, v, "log.query", "log", map[string]string{"query": full}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	var err error
	if page.Matched, page.Own, err = c.countReview(ctx, v, t); err != nil {
		return err
	}
	offs, err := c.Reviews.SignOffsOf(ctx, t.text, t.first)
	if err != nil {
		return err
	}
	open, err := unreviewed(t.where(), offs)
	if err != nil {
		return err
	}
	if page.Open, err = c.countOf(ctx, v, open, 0); err != nil {
		return err
	}
	found, err := c.search(ctx, query.Request{Where: v.readable(t.where()), Now: v.Now, Limit: rowsToReview, Fields: lineFields})
	if err != nil {
		return err
	}
	for i := range found {
		if e := entryOf(found[i]); v.maySee(e) {
			page.Rows = append(page.Rows, v.entryRow(pair{entry: e}))
		}
	}
	page.Shown = len(page.Rows)
	return c.show(w, r, f.status(), "log-review", page)
}

// countReview returns how many entries there are to review, and how many are
// about the visitor, who does not review those.
func (c *Console) countReview(ctx context.Context, v *visit, t *toReview) (matched, own int, err error) {
	all, err := c.countOf(ctx, v, t.where(), 0)
	if err == nil {
		own, err = c.countOf(ctx, v, query.All(t.where(), about(v.Session.Account)), 0)
	}
	return all - own, own, err
}

// signOff keeps the word of a reviewer. What they saw is named by index, so
// entries that have come since are not part of it.
func (c *Console) signOff(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	t := &toReview{day: f.Value("day")}
	if id := f.Value("search"); id != "" && id != "0" {
		s, err := c.searchOf(r, v, id)
		if err != nil {
			return err
		}
		t.search = s
	}
	conditions, bounds, ok := unbounded(f.keptQueryOf(keptQuery))
	first, err := strconv.ParseUint(f.Value("first"), 10, 63)
	past, perr := strconv.ParseUint(f.Value("past"), 10, 63)
	if errors.Join(err, perr) != nil || !ok || len(bounds) > 0 || first >= past || past > c.Log.Size() || !f.OK() {
		return ui.BadRequest("This form is not one that the console made.")
	}
	t.conditions, t.text, t.first, t.past = conditions, query.Print(conditions), first, past
	if t.search != nil && t.search.Query != t.text {
		f.note("Somebody changed this search in the meantime. Open it again from the queue.")
	}
	note := strings.TrimSpace(f.Value("note"))
	switch {
	case note == "":
		f.fault("note", "Say what you looked at: a sign-off without a word helps nobody.")
	case utf8.RuneCountInString(note) > review.MaxNote:
		f.fault("note", "At most {1} characters.", review.MaxNote)
	}
	if !f.OK() {
		return c.showReview(w, r, v, f, t)
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	s := review.SignOff{Query: t.text, Scope: query.Print(v.mayRead()), From: first, To: past, Note: note}
	if s.Matched, s.Own, err = c.countReview(ctx, v, t); err != nil {
		return err
	}
	if t.search != nil {
		s.Search, s.Title = t.search.ID, t.search.Title
	}
	if _, err := c.Reviews.SignOff(ctx, v.Actor(), s); err != nil {
		if !reviewFault(f, err) {
			return reviewError(err)
		}
		return c.showReview(w, r, v, f, t)
	}
	to := reviewsPath
	if t.search != nil {
		to = queuePath
	}
	return c.seeOther(w, r, v, to, ui.Count(s.Matched, "{1} entry is marked as reviewed.", "{1} entries are marked as reviewed."))
}

// reviewsPage lists what was signed off.
type reviewsPage struct {
	Base
	Rows  []signOffRow
	Older string
	Empty ui.Empty
}

// signOffRow is one sign-off.
type signOffRow struct {
	At           time.Time
	By           string
	Title, Query string
	Scope        string
	First, Last  uint64
	Matched, Own int
	Note         string
	Show         string // the page with these entries
}

const signOffsAPage = 50

func (c *Console) reviews(w http.ResponseWriter, r *http.Request, v *visit) error {
	var before int64
	if s := r.URL.Query().Get("before"); s != "" {
		var err error
		if before, err = strconv.ParseInt(s, 10, 64); err != nil || before < 1 {
			return ui.NotFound()
		}
	}
	all, err := c.Reviews.SignOffs(r.Context(), before, signOffsAPage+1)
	if err != nil {
		return err
	}
	page := reviewsPage{Base: v.page("What was reviewed")}
	if len(all) > signOffsAPage {
		all = all[:signOffsAPage]
		page.Older = address(reviewsPath, url.Values{"before": {strconv.FormatInt(all[len(all)-1].ID, 10)}})
	}
	_, limited := v.logClusters()
	scope := query.Print(v.mayRead())
	for _, s := range all {
		if limited && s.Account != v.Session.Account && s.Scope != scope { // notes and numbers speak of other clusters' entries
			continue
		}
		row := signOffRow{At: s.At, By: s.Email, Title: s.Title, Query: s.Query, Scope: s.Scope, First: s.From, Last: s.To - 1, Matched: s.Matched, Own: s.Own, Note: s.Note}
		if n, err := query.Parse(s.Query); err == nil {
			row.Show = searchAddress(query.Print(query.All(n, within(s.From, s.To))))
		}
		page.Rows = append(page.Rows, row)
	}
	if len(page.Rows) == 0 {
		page.Empty = ui.Empty{Title: "Nothing was reviewed yet", Text: "Whoever has looked through what a search found says so with “Mark as reviewed”. It is kept here and in the access log.", ActionURL: queuePath, Action: "What waits for review"}
	}
	return c.show(w, r, http.StatusOK, "log-reviews", page)
}
