package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

const (
	recordedPath = "/recorded"
	readersPath  = "/recorded/readers"
	ownRows      = 30 // entries on a page
)

// recordedPage shows what is recorded about the visitor: their own entries.
// What they may see is not what their roles let them read of the log, which may
// be nothing, but what is about them.
type recordedPage struct {
	Base
	Search  []ui.Field
	Faults  []ui.Text
	Rows    []ownRow
	Pager   ui.Pager
	Empty   ui.Empty
	Partial bool
	Owner   *policy.Person // whom to ask; nil: unknown
}

// ownRow is one entry in plain words, with its outcome.
type ownRow struct {
	Time   time.Time
	What   ui.Text
	Mono   bool
	Where  ui.Text // which cluster; empty: the gate
	Effect ui.Badge
	Why    []ui.Text
	How    ui.Text // what became of it
	From   string  // the address
	With   ui.Text // the program
	Lines  []entryLine
}

// What one's own entries can be listed by.
const (
	ownRequests = "requests"
	ownSignIns  = "sign-ins"
	ownOther    = "everything else"
)

// ownEntries is the condition for what is about the visitor: what they did, and
// what was changed of their account and their assignments. What the alarms'
// rules found about them, and who looked at that, is not theirs: it would warn
// whoever is watched, in the list itself or by a reading that selects it.
func (v *visit) ownEntries() query.Node {
	own := []query.Node{query.Match{Field: query.AccountID, Pattern: query.Exact(v.Session.Account)}}
	if email := v.Session.Email; email != "" {
		own = append(own, query.Match{Field: query.Object, Pattern: query.Exact("account:" + email)},
			query.Match{Field: query.Object, Pattern: query.Pattern{Parts: []string{"assignment:" + email + "/", ""}}})
	}
	return query.All(query.Any(own...), query.Negate(query.All(typeIs(policy.RecordLog),
		query.Match{Field: query.Action, Pattern: query.Pattern{Parts: []string{"alarm.", ""}}},
		query.Negate(query.Match{Field: query.Actor, Pattern: query.Exact(v.Session.Account)}))))
}

func typeIs(types ...policy.RecordType) query.Node {
	var any []query.Node
	for _, t := range types {
		any = append(any, query.Match{Field: query.Type, Pattern: query.Exact(string(t))})
	}
	return query.Any(any...)
}

// recorded lists the visitor's own entries, the newest first.
func (c *Console) recorded(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	f := newForm(q)
	f.known("kind", "cluster", searchSince, searchUntil, searchBefore)
	kind := f.oneOf("kind", "a kind", []string{"", ownRequests, ownSignIns, ownOther})
	clusters := ownClusters(v)
	cluster := f.oneOf("cluster", "a cluster", append(names(clusters, func(o ui.Option) string { return o.Value }), ""))
	since, until := f.moment(searchSince, v.Now, false), f.moment(searchUntil, v.Now, true)
	before := f.index(searchBefore)
	page := recordedPage{Base: v.page("What is recorded about me"), Faults: f.all()}
	if owner, title := vendorOf(v.Snapshot, v.Session.Vendor); title != "" {
		page.Owner = &owner
	}
	page.Search = []ui.Field{
		f.choice("kind", "Kind", "Everything", options([]string{ownRequests, ownSignIns, ownOther})),
		f.choice("cluster", "Cluster", "Every cluster", clusters),
		with(f.search(searchSince, "Since (UTC)"), func(u *ui.Field) { u.Placeholder = "24h, 2026-01-31" }),
		with(f.search(searchUntil, "Until (UTC)"), func(u *ui.Field) { u.Placeholder = "2026-01-31" }),
	}
	if !f.OK() {
		return c.show(w, r, f.status(), "recorded", page)
	}
	if err := c.recordRead(r, v, "log.own", "account:"+v.Session.Account, ownDetail(q)); err != nil {
		return err
	}
	where := []query.Node{v.ownEntries(), query.Negate(typeIs(policy.RecordOutcome))}
	switch kind {
	case ownRequests:
		where = append(where, typeIs(policy.RecordRequest))
	case ownSignIns:
		where = append(where, typeIs(policy.RecordLogin))
	case ownOther:
		where = append(where, query.Negate(typeIs(policy.RecordRequest, policy.RecordLogin)))
	}
	if cluster != "" {
		where = append(where, query.Match{Field: query.Cluster, Pattern: query.Exact(cluster)})
	}
	if !since.IsZero() {
		where = append(where, query.Bound{Field: query.Since, At: since})
	}
	if !until.IsZero() {
		where = append(where, query.Bound{Field: query.Until, At: until.Add(time.Nanosecond)})
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	err := c.fillRecorded(ctx, v, &page, query.All(where...), before, q)
	if errors.Is(err, context.DeadlineExceeded) {
		page.Partial, err = true, nil
	}
	if err != nil {
		return err
	}
	if len(page.Rows) == 0 && !page.Partial {
		page.Empty = ui.Empty{Title: "Nothing is recorded", Text: "Nothing about you fits what you chose.", ActionURL: recordedPath, Action: "Show everything about me"}
	}
	return c.show(w, r, http.StatusOK, "recorded", page)
}

// fillRecorded reads a page of entries and the outcomes of the requests on it.
func (c *Console) fillRecorded(ctx context.Context, v *visit, page *recordedPage, where query.Node, before uint64, q url.Values) error {
	entries, err := c.entriesOf(ctx, where, v.Now, before, ownRows+1)
	if err != nil {
		return err
	}
	more := len(entries) > ownRows
	entries = entries[:min(len(entries), ownRows)]
	outcomes, err := c.ownOutcomes(ctx, v, entries)
	if err != nil {
		return err
	}
	own := query.Compile(v.ownEntries(), v.Now)
	for _, e := range entries {
		if own.Match(e) { // whatever an index says
			page.Rows = append(page.Rows, newOwnRow(e, outcomes[e.RequestID], v.Session.Account))
		}
	}
	page.Pager = ui.Pager{Text: ui.Count(len(page.Rows), "{1} line, newest first", "{1} lines, newest first")}
	fields := url.Values{}
	for k := range q {
		if k != searchBefore && q.Get(k) != "" {
			fields.Set(k, q.Get(k))
		}
	}
	if before > 0 {
		page.Pager.Newer = address(recordedPath, fields)
	}
	if more {
		fields.Set(searchBefore, index(entries[len(entries)-1].Index))
		page.Pager.Older = address(recordedPath, fields)
	}
	return nil
}

// ownOutcomes returns what became of the requests among entries, by request.
func (c *Console) ownOutcomes(ctx context.Context, v *visit, entries []*accesslog.Entry) (map[string]*accesslog.Entry, error) {
	var ids []query.Node
	for _, e := range entries {
		if e.Type == policy.RecordRequest && e.RequestID != "" && e.Effect == policy.Allow.String() {
			ids = append(ids, query.Match{Field: query.RequestID, Pattern: query.Exact(e.RequestID)})
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	found, err := c.entriesOf(ctx, query.All(v.ownEntries(), typeIs(policy.RecordOutcome), query.Any(ids...)), v.Now, 0, 2*ownRows)
	out := map[string]*accesslog.Entry{}
	for _, e := range found {
		out[e.RequestID] = e
	}
	return out, err
}

// ownClusters are the clusters that the visitor is or was assigned to.
func ownClusters(v *visit) (out []ui.Option) {
	d := v.Snapshot.Directory()
	for i := range d.Clusters {
		k := &d.Clusters[i]
		if slices.ContainsFunc(d.Assignments, func(a directory.Assignment) bool { return a.Account == v.Session.Email && a.Cluster == k.Name }) {
			out = append(out, ui.Option{Value: k.Name, Label: ui.Verbatim(cmp.Or(k.Title, k.Name))})
		}
	}
	return out
}

func ownDetail(q url.Values) map[string]string {
	d := map[string]string{}
	for _, name := range []string{"kind", "cluster", searchSince, searchUntil, searchBefore} {
		if s := q.Get(name); s != "" {
			d[name] = clip(s, 80)
		}
	}
	return d
}

// ownGroups are the groups of an entry's fields that say something to whom they
// are about. What is behind the gateway is the customer's own.
var ownGroups = []ui.Text{"When and what", "Who", "Request", "Decision", "Outcome", "Detail"}

// ownHidden are fields that name what is behind the gateway, or that are no words.
var ownHidden = []ui.Text{"Node", "Upstream", "Policy revision", "Facts", "Route", "Done by", "Object", "Own time", ui.Verbatim("given_by"), ui.Verbatim(accesslog.ActorEmail), ui.Verbatim(accesslog.AboutAccount)}

// newOwnRow puts an entry into the words of the account that it is about.
func newOwnRow(e, outcome *accesslog.Entry, account string) ownRow {
	row := ownRow{Time: e.Time}
	byOthers := e.Actor != "" && e.Actor != account
	if !byOthers { // otherwise these are of whoever did it
		row.From, row.With = e.SourceIP, clientWords(e.UserAgent)
	}
	switch e.Type {
	case policy.RecordRequest:
		row.What, row.Mono, row.Effect = ui.Verbatim(e.Method+" "+clip(e.Path, 200)), true, effectBadge(e.Effect)
		row.Where = ui.Verbatim(cmp.Or(e.Cluster, e.Host))
		for _, line := range reasonLines(e.Reasons) {
			row.Why = append(row.Why, cmp.Or(line.Text, ui.Verbatim(line.Code)))
		}
	default:
		row.What, row.Effect = actionWords(e.Action), ui.Badge{Kind: ui.Neutral, Text: cmp.Or(typeWords[e.Type], ui.Verbatim(string(e.Type)))}
		if e.Result != "" && e.Result != "ok" {
			row.Effect = ui.Badge{Kind: ui.Warn, Text: "not done"}
			row.Why = append(row.Why, resultWords(e.Result))
		}
		if byOthers {
			row.Why = append(row.Why, "This was done by somebody else, not by you.")
		}
	}
	last := e
	if outcome != nil {
		last = outcome
	}
	if last.Status != 0 {
		row.How = ui.Say("Status {1}", strconv.Itoa(last.Status))
		if last.BytesOut != nil {
			row.How = ui.Say("{1}, {2} sent to you", row.How, size(*last.BytesOut))
		}
	}
	if last.Ended != "" {
		row.How = ui.Join([]ui.Text{row.How, ui.Say("cut short: {1}", ui.Known(last.Ended))}, " ")
	}
	for _, g := range entryGroups(e) {
		if !slices.Contains(ownGroups, g.Title) || g.Title == "Who" && byOthers {
			continue
		}
		if g.Title == "Detail" && byOthers && e.Type == policy.RecordLog {
			continue // what reviewers note of somebody, and what their rules look for, is theirs
		}
		for _, l := range g.Lines {
			if !slices.Contains(ownHidden, l.Label) {
				l.URL = "" // those lead into the console
				row.Lines = append(row.Lines, l)
			}
		}
	}
	return row
}
