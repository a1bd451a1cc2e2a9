package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/review"
	"github.com/ringfence/ringfence/internal/ui"
)

const searchesPath = "/console/log/searches"

// index writes the number of an entry.
func index(n uint64) string { return strconv.FormatUint(n, 10) }

// searchesPage lists the searches that the visitor sees.
type searchesPage struct {
	Base
	Rows  []searchRow
	Empty ui.Empty
}

// searchRow is one saved search.
type searchRow struct {
	Title   string
	Query   string
	Run     string // the page with what it finds now
	Edit    string // empty: it is not the visitor's to change
	Export  string
	By      string
	Changed time.Time
	Marks   []ui.Badge
}

// mayChangeSearch reports whether the visitor may change a search that they see.
func (v *visit) mayChangeSearch(s *review.Search) bool {
	return s.Owner == v.Session.Account || v.mayChange()
}

func savedSearchPath(id int64) string { return searchesPath + "/" + strconv.FormatInt(id, 10) }

func (c *Console) searches(w http.ResponseWriter, r *http.Request, v *visit) error {
	all, err := c.Reviews.Searches(r.Context(), v.Session.Account)
	if err != nil {
		return err
	}
	page := searchesPage{Base: v.page("Saved searches")}
	for i := range all {
		s := &all[i]
		row := searchRow{Title: s.Title, Query: s.Query, Run: searchAddress(s.Query), By: s.Email, Changed: s.Changed,
			Export: address(exportsPath+"/new", url.Values{keptQuery: {s.Query}})}
		if s.Shared {
			row.Marks = append(row.Marks, ui.Badge{Kind: ui.Neutral, Text: "shared"})
		} else {
			row.Marks = append(row.Marks, ui.Badge{Kind: ui.Neutral, Text: "only you"})
		}
		if s.Daily {
			row.Marks = append(row.Marks, ui.Badge{Kind: ui.Good, Text: "reviewed daily"})
		}
		if v.mayChangeSearch(s) {
			row.Edit = savedSearchPath(s.ID) + "/edit"
		}
		page.Rows = append(page.Rows, row)
	}
	if len(page.Rows) == 0 {
		page.Empty = ui.Empty{Title: "No search is saved yet", Text: "Search the access log, then save the search to make it again, to share it, or to have it in the daily queue.",
			ActionURL: "/console/log", Action: "Search the access log"}
	}
	return c.show(w, r, http.StatusOK, "log-searches", page)
}

// searchOf returns the saved search that an address names, if the visitor sees it.
func (c *Console) searchOf(r *http.Request, v *visit, id string) (*review.Search, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != id {
		return nil, ui.NotFound()
	}
	all, err := c.Reviews.Searches(r.Context(), v.Session.Account)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(s review.Search) bool { return s.ID == n })
	if i < 0 {
		return nil, ui.NotFound()
	}
	return &all[i], nil
}

// searchForm shows the form of a search, new where have is nil.
func (c *Console) searchForm(w http.ResponseWriter, r *http.Request, v *visit, f *form, have *review.Search) error {
	page := editPage{Base: v.page("Save a search"), Lede: "A saved search is a question: each time, it finds what the log holds then.",
		Submit: "Save", URL: searchesPath + "/new", Back: searchesPath}
	if have != nil {
		page.Base, page.About, page.Seen = v.page("Change a search"), ui.Link{Label: "Saved searches", URL: searchesPath}, strconv.Itoa(have.Version)
		page.URL = savedSearchPath(have.ID) + "/edit"
	}
	page.Groups = []group{
		{Title: "The search", Controls: controls(
			with(f.text("title", "Title"), func(u *ui.Field) { u.Required, u.MaxLength, u.Autofocus = true, review.MaxTitle, true }),
			with(f.text(keptQuery, "Query"), func(u *ui.Field) {
				u.Rows, u.Mono, u.MaxLength, u.Hint = 3, true, review.MaxQuery, "Empty: every entry. Spans such as since:7d end when the search is made."
			}),
		)},
		{Title: "Who works with it", Controls: controls(f.boxes("use", "Use", []choice{
			{Value: "shared", Label: "Share it with everybody who reads the access log", Hint: "They see it with your address. Only you and administrators change it."},
			{Value: "daily", Label: "Have it reviewed daily", Hint: "It is in the queue with what nobody has signed off, day by day. The query then has no bounds of time."},
		}))},
	}
	if have != nil {
		page.Groups = append(page.Groups, group{Title: "No longer needed?", Controls: controls(f.boxes("remove", "Remove",
			[]choice{{Value: "yes", Label: "Remove this search", Hint: "What was signed off for it stays."}}))})
	}
	return c.showEdit(w, r, f, page)
}

func (c *Console) newSearchForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := newForm(url.Values{keptQuery: {r.URL.Query().Get(keptQuery)}})
	return c.searchForm(w, r, v, f, nil)
}

func (c *Console) editSearchForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	have, err := c.searchOf(r, v, r.PathValue("id"))
	if err != nil {
		return err
	}
	if !v.mayChangeSearch(have) {
		return &ui.Error{Status: http.StatusForbidden}
	}
	values := url.Values{"title": {have.Title}, keptQuery: {have.Query}}
	for name, on := range map[string]bool{"shared": have.Shared, "daily": have.Daily} {
		if on {
			values.Add("use", name)
		}
	}
	return c.searchForm(w, r, v, newForm(values), have)
}

// searchTyped reads the form of a search into s.
func searchTyped(f *form, s *review.Search) {
	s.Title = f.line("title", "a title", review.MaxTitle, true)
	n := f.keptQueryOf(keptQuery)
	s.Query = query.Print(n)
	if len(s.Query) > review.MaxQuery {
		f.fault(keptQuery, "At most {1} characters.", review.MaxQuery)
	}
	use := f.someOf("use", []string{"shared", "daily"})
	s.Shared, s.Daily = slices.Contains(use, "shared"), slices.Contains(use, "daily")
	if s.Daily && bounded(n) {
		f.fault(keptQuery, "What is reviewed daily has no bounds of time or index: the queue goes day by day.")
	}
}

func (c *Console) newSearch(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	var s review.Search
	searchTyped(f, &s)
	return c.saveSearch(w, r, v, f, s, nil)
}

func (c *Console) saveSearch(w http.ResponseWriter, r *http.Request, v *visit, f *form, s review.Search, have *review.Search) error {
	if f.OK() {
		saved, err := c.Reviews.SaveSearch(r.Context(), v.Actor(), s)
		if err == nil {
			return c.seeOther(w, r, v, searchesPath, ui.Say("“{1}” is saved.", saved.Title))
		}
		if !reviewFault(f, err) {
			return reviewError(err)
		}
	}
	return c.searchForm(w, r, v, f, have)
}

func (c *Console) editSearch(w http.ResponseWriter, r *http.Request, v *visit) error {
	have, err := c.searchOf(r, v, r.PathValue("id"))
	if err != nil {
		return err
	}
	f := posted(r)
	s := *have
	if s.Version, err = strconv.Atoi(f.Value("seen")); err != nil {
		s.Version = 0 // no version: changed in the meantime
	}
	if f.Checked("remove", "yes") {
		err := c.Reviews.RemoveSearch(r.Context(), v.Actor(), s.ID, s.Version)
		if err == nil {
			return c.seeOther(w, r, v, searchesPath, ui.Say("“{1}” is removed.", have.Title))
		}
		if !reviewFault(f, err) {
			return reviewError(err)
		}
		return c.searchForm(w, r, v, f, have)
	}
	searchTyped(f, &s)
	return c.saveSearch(w, r, v, f, s, have)
}
