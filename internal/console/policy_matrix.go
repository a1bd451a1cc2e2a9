package console

import (
	"context"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
)

// matrixPage shows who reaches what, today and under a draft or a revision.
type matrixPage struct {
	Base
	About   namedSet
	Compare bool // with what is in force
	Trial   trialState
	Fault   ui.Text
	Faults  []ui.Text
	Ask     []ui.Field // what to ask
	At      time.Time
	Source  string
	Search  []ui.Field
	Sum     matrixSum
	Rows    []matrixRow
	Pager   ui.Pager
	Empty   ui.Empty
}

type matrixSum struct{ Cells, Moved, Widened, Without, Left int }

// matrixRow is one account on one route.
type matrixRow struct {
	Who     ui.Link
	Cluster ui.Link
	Route   string
	Vendor  string
	Lines   []matrixLine
	Widened bool
	Moved   bool
}

// matrixLine is what becomes of requests that are decided alike.
type matrixLine struct {
	Methods string
	Path    string
	Old     ui.Badge
	New     ui.Badge // empty where nothing differs
	Reasons []string // codes, of the newer decision
	Bound   ui.Text  // obligations of an allowed request
	Turn    string
}

// matrixAsked is what was asked of a matrix.
type matrixAsked struct {
	At      time.Time
	Source  string
	Without int
	set     namedSet
}

const matrixPath = "/console/policies/matrix"

func (c *Console) matrix(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	about, err := setOf(q.Get("draft"), q.Get("revision"))
	if err != nil {
		return err
	}
	return c.showMatrix(w, r, v, about, newForm(q), http.StatusOK)
}

func (c *Console) showMatrix(w http.ResponseWriter, r *http.Request, v *visit, about trialSet, f *form, status int) error {
	set, err := c.set(r.Context(), about)
	if err != nil {
		return err
	}
	page := matrixPage{Base: v.page("Who reaches what"), About: set, Compare: about != trialSet{}, Trial: c.desk.trials.newest("matrix", about).state(), Faults: f.Notes}
	asked, _ := page.Trial.detail().(matrixAsked)
	page.At, page.Source = asked.At, asked.Source
	if f.Value("source") == "" {
		f.set("source", orElse(asked.Source, v.Origin.IP.String()))
	}
	if f.Value("at") == "" && !asked.At.IsZero() {
		f.set("at", asked.At.Format(minuteOf))
	}
	page.Ask = []ui.Field{
		with(f.text("at", "Time (UTC)"), func(u *ui.Field) { u.Type, u.Hint = "datetime-local", "Empty: now." }),
		with(f.text("source", "Address that requests come from"), func(u *ui.Field) { u.Required, u.MaxLength = true, 45 }),
	}
	switch result, ok := page.Trial.Result.(studio.MatrixResult); {
	case page.Trial.Running:
		refreshing(w)
	case page.Trial.Err != nil && !page.Trial.Stopped():
		page.Fault = trialWords(page.Trial.Err)
	case ok:
		page.Sum = matrixSum{result.Cells, result.Moved, result.Widened, asked.Without, result.Left}
		page.fill(v, f, &result)
	}
	return c.show(w, r, status, "console-policy-matrix", page)
}

// minuteOf is how a browser writes the value of a field for a date and a time.
const minuteOf = "2006-01-02T15:04"

// fill selects the rows that are looked for.
func (p *matrixPage) fill(v *visit, f *form, result *studio.MatrixResult) {
	d := v.Snapshot.Directory()
	show := []ui.Option{{Value: "moved", Label: "What differs"}, {Value: "all", Label: "Everything"}}
	if f.Value("show") == "" || !p.Compare {
		f.set("show", map[bool]string{true: "moved", false: "all"}[p.Compare])
	}
	p.Search = []ui.Field{f.search("who", "Person or vendor"), f.choice("cluster", "Cluster", "Every cluster", clusterOptions(d))}
	if p.Compare {
		p.Search = append(p.Search, f.choice("show", "Show", "", show))
	}
	who, cluster := strings.ToLower(strings.TrimSpace(f.Value("who"))), f.Value("cluster")
	var rows []*studio.MatrixRow
	for i := range result.Rows {
		row := &result.Rows[i]
		if (f.Value("show") == "all" || row.Moved()) && (cluster == "" || row.Cluster == cluster) &&
			(who == "" || strings.Contains(strings.ToLower(row.Email+" "+row.Vendor), who)) {
			rows = append(rows, row)
		}
	}
	rows, p.Pager = paged(rows, f.pageNumber("page"), matrixPath, f.values, "row")
	for _, row := range rows {
		p.Rows = append(p.Rows, v.matrixRow(row))
	}
	switch {
	case len(p.Rows) > 0:
	case p.Compare && p.Sum.Moved == 0:
		p.Empty = ui.Empty{Title: "Nobody reaches anything else", Text: "Each representative request is decided as it is today."}
	default:
		p.Empty = ui.Empty{Title: "No row matches", Text: "Nobody fits what you searched for."}
	}
}

func (v *visit) matrixRow(row *studio.MatrixRow) matrixRow {
	out := matrixRow{Who: ui.Link{Label: ui.Verbatim(row.Email), URL: "/console/people/" + url.PathEscape(row.Account)},
		Cluster: ui.Link{Label: ui.Verbatim(row.Cluster), URL: "/console/clusters/" + url.PathEscape(row.Cluster)}, Route: row.Route, Vendor: row.Vendor, Moved: row.Moved()}
	type alike struct{ path, old, new, why, turn string }
	at := map[alike]int{}
	for _, a := range row.Answers {
		key := alike{a.Path, a.Old.Effect.String(), a.New.Effect.String(), strings.Join(a.New.Reasons, ","), string(a.Turn)}
		if i, ok := at[key]; ok {
			out.Lines[i].Methods += ", " + a.Method
			continue
		}
		at[key] = len(out.Lines)
		l := matrixLine{Methods: a.Method, Path: a.Path, Old: effectBadge(a.Old.Effect.String()), Reasons: a.New.Reasons, Turn: string(a.Turn), Bound: obligationsInWords(a.New.Obligations)}
		if a.Turn != "" {
			l.New = effectBadge(a.New.Effect.String())
		}
		out.Lines = append(out.Lines, l)
		out.Widened = out.Widened || a.Turn == "widened"
	}
	return out
}

// beginMatrix starts working it out.
func (c *Console) beginMatrix(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	about, err := setOf(f.Value("draft"), f.Value("revision"))
	if err != nil {
		return err
	}
	asked := matrixAsked{At: v.Now}
	if s := f.Value("at"); s != "" {
		if asked.At, err = time.Parse(minuteOf, s); err != nil {
			f.fault("at", "Give a date and a time.")
		}
	}
	source, err := netip.ParseAddr(strings.TrimSpace(f.Value("source")))
	if err != nil {
		f.fault("source", "Give one address, such as 198.51.100.7.")
	}
	if !f.OK() {
		return c.showMatrix(w, r, v, about, f, http.StatusUnprocessableEntity)
	}
	asked.Source = source.String()
	if asked.set, err = c.set(r.Context(), about); err != nil {
		return err
	}
	now, err := c.inForce(r.Context())
	if err != nil {
		return err
	}
	ask, without := studio.Ask(v.Snapshot, now, asked.set.Modules, asked.At, source)
	ask.One = about == trialSet{}
	asked.Without = without
	c.desk.trials.begin(r.Context(), &trial{Kind: "matrix", About: about, By: v.Session.Email, Detail: asked}, c.Now, func(ctx context.Context, tell func(studio.Progress)) (any, error) {
		m, err := c.Studio.Matrix(ctx, ask, tell)
		if err != nil {
			c.Logger.Warn("working out the access matrix", "draft", about.Draft, "revision", about.Revision, "err", err)
			return nil, err
		}
		return m, c.keepFigures(ctx, asked.set, func(f *change.Figures) { f.Cells, f.CellsMoved = m.Cells, m.Moved })
	})
	return c.seeOther(w, r, v, matrixPath+about.query(), "")
}

func (c *Console) stopMatrix(w http.ResponseWriter, r *http.Request, v *visit) error {
	about, err := setOf(r.PostForm.Get("draft"), r.PostForm.Get("revision"))
	if err != nil {
		return err
	}
	c.desk.trials.newest("matrix", about).stop()
	return c.seeOther(w, r, v, matrixPath+about.query(), "Stopped.")
}

// detail returns what was asked; nil for the zero state.
func (s trialState) detail() any {
	if s.trial == nil {
		return nil
	}
	return s.trial.Detail
}

// set gives a field a value, as if it had been typed.
func (f *form) set(name, value string) {
	f.values = maps.Clone(f.values)
	if f.values == nil {
		f.values = url.Values{}
	}
	f.values[name] = slices.Clone([]string{value})
}
