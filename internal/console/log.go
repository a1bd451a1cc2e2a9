package console

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

const (
	// entriesAPage is how many entries a page of the log shows.
	entriesAPage = 50
	// searchTime is how long a search may take before it shows what it has.
	searchTime = 10 * time.Second
	// joinReach is how many entries away from a request its outcome is looked
	// for, and the reverse. An outcome that came later is on the entry's own page.
	joinReach = 20_000
)

// logPage shows what was found in the access log.
type logPage struct {
	Base
	Search  []ui.Field
	More    []ui.Field // fields that are needed less often
	Open    bool       // one of More is filled in
	Faults  []ui.Text
	Rows    []entryRow
	Pager   ui.Pager
	Empty   ui.Empty
	Partial ui.Text // why the list ends before it should
	Size    uint64
	Quick   []ui.Link // searches that are made often
	Keep    keepLinks
}

// entryRow is one line of the log. A request and its outcome are one line.
type entryRow struct {
	Index     uint64
	URL       string
	Time      time.Time
	Day       string
	Clock     string
	Who       string
	WhoURL    string
	Cluster   string
	What      ui.Text // method and path, or what was done
	Mono      bool
	Kind      ui.Badge
	Status    string
	StatusBad bool
	Note      ui.Text // the first reason, or how it ended
	Codes     string  // of all reasons
}

// recordRead records that somebody reads the log before they see anything of it.
func (c *Console) recordRead(r *http.Request, v *visit, action, object string, detail map[string]string) error {
	return c.recordEnd(r, v, action, object, "ok", detail)
}

// recordEnd records a reading with how it ended.
func (c *Console) recordEnd(r *http.Request, v *visit, action, object, result string, detail map[string]string) error {
	_, err := c.Log.Record(r.Context(), &policy.Record{
		Type: policy.RecordLog, Time: c.Now().UTC(), Action: action, Result: result, RequestID: v.RequestID,
		Account: v.Session.Account, Email: v.Session.Email, Vendor: v.Session.Vendor, Session: v.Session.ID,
		SourceIP: v.Origin.IP.String(), UserAgent: v.Origin.UserAgent,
		Actor: v.Session.Account, Object: object, Detail: detail,
	})
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// log shows the search of the access log.
func (c *Console) log(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	filter, f := parseSearch(q, v.Now, entriesAPage)
	page := logPage{Base: v.page("Access log"), Faults: f.Notes, Size: c.Log.Size()}
	page.Search, page.More, page.Open = searchControls(f)
	page.Quick = quickSearches(q)
	if !f.OK() {
		return c.show(w, r, f.status(), "log", page)
	}
	if err := c.recordRead(r, v, "log.query", "log", searchDetail(q)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	filter.Clusters = v.filterScope()
	found, err := c.searchLog(ctx, filter)
	if err != nil {
		return err
	}
	for _, p := range found.pairs {
		page.Rows = append(page.Rows, newEntryRow(p))
	}
	if found.overdue {
		page.Partial = ui.Say("The search was stopped after {1} seconds. What it found until then is shown; give a time to search less of the log.", int(searchTime.Seconds()))
	}
	page.Pager = logPager(q, found)
	if n, ok := olderQuery(searchDetail(q)); ok {
		page.Keep = newKeepLinks(n, page.Size)
	}
	if len(page.Rows) == 0 && !found.overdue {
		page.Empty = ui.Empty{Title: "No entry matches", Text: "Nothing in the access log fits what you searched for.", ActionURL: "/console/log", Action: "Show the newest entries"}
	}
	return c.show(w, r, http.StatusOK, "log", page)
}

// readRecent returns the newest entries about one object, for its own page.
func (c *Console) readRecent(r *http.Request, v *visit, filter accesslog.Filter, detail map[string]string) ([]entryRow, error) {
	if err := c.recordRead(r, v, "log.query", "log", detail); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime/5)
	defer cancel()
	filter.Clusters = v.filterScope()
	found, err := c.searchLog(ctx, filter)
	if err != nil {
		return nil, err
	}
	var rows []entryRow
	for _, p := range found.pairs {
		rows = append(rows, newEntryRow(p))
	}
	return rows, nil
}

// A pair is an entry with its outcome, when it is a request that has one.
type pair struct {
	entry   *accesslog.Entry
	outcome *accesslog.Entry
}

type found struct {
	pairs   []pair
	more    bool   // there are older ones
	oldest  uint64 // index of the last one shown
	overdue bool   // the time was over before the search was
}

// searchLog returns the newest matching entries with requests and outcomes
// joined. Unless outcomes or their statuses are asked for, an outcome is no
// line of its own.
func (c *Console) searchLog(ctx context.Context, filter accesslog.Filter) (found, error) {
	want := cmp.Or(filter.Limit, entriesAPage)
	filter.Limit = 0
	byOutcome := filter.Status != 0 || filter.Type == string(policy.RecordOutcome) || filter.Text != ""
	// Facts documents are the log's own notes, shown when asked for.
	filter.NoFacts = filter.Type != string(policy.RecordLog) && filter.Action == ""
	var out found
	outcomes := map[string]*accesslog.Entry{}
	listed := map[string]bool{} // requests that a line stands for
	err := c.Log.Query(ctx, filter, func(e *accesslog.Entry) bool {
		e = keep(e)
		switch {
		case e.Type == policy.RecordOutcome && !byOutcome:
			outcomes[e.RequestID] = e
			return true
		case e.Type == policy.RecordRequest && listed[e.RequestID]:
			return true // its outcome stands for both
		}
		if len(out.pairs) == want {
			out.more = true
			return false
		}
		out.oldest = e.Index
		if e.Type == policy.RecordOutcome {
			listed[e.RequestID] = true
		}
		out.pairs = append(out.pairs, pair{entry: e, outcome: outcomes[e.RequestID]})
		return true
	})
	if errors.Is(err, context.DeadlineExceeded) {
		out.overdue, err = true, nil
	}
	if err != nil {
		return found{}, err
	}
	if !out.overdue {
		err = c.join(ctx, out.pairs)
	}
	return out, err
}

// keep copies an entry, which may be good only during the callback.
func keep(e *accesslog.Entry) *accesslog.Entry {
	k := *e
	k.Payload = slices.Clone(e.Payload)
	return &k
}

// join looks up the other half of each pair that lacks one, within reach: in
// at most two readings of the log, however many there are.
func (c *Console) join(ctx context.Context, pairs []pair) error {
	missing := map[string]*pair{}
	lowest, highest := ^uint64(0), uint64(0)
	for i := range pairs {
		p := &pairs[i]
		wantsOutcome := p.entry.Type == policy.RecordRequest && p.outcome == nil && p.entry.Effect == policy.Allow.String()
		if (wantsOutcome || p.entry.Type == policy.RecordOutcome) && p.entry.RequestID != "" {
			missing[p.entry.RequestID] = p
			lowest, highest = min(lowest, p.entry.Index), max(highest, p.entry.Index)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	near := accesslog.Filter{Before: highest + joinReach + 1, Ascending: true}
	if lowest > joinReach {
		near.After = lowest - joinReach
	}
	err := c.Log.Query(ctx, near, func(e *accesslog.Entry) bool {
		p := missing[e.RequestID]
		switch {
		case p == nil || e.Index == p.entry.Index:
		case e.Type == policy.RecordOutcome && p.entry.Type == policy.RecordRequest:
			p.outcome = keep(e)
			delete(missing, e.RequestID)
		case e.Type == policy.RecordRequest && p.entry.Type == policy.RecordOutcome:
			p.entry, p.outcome = keep(e), p.entry
			delete(missing, e.RequestID)
		}
		return len(missing) > 0
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // lines without their other half are still true
	}
	return err
}

// effectBadge shows an effect as a word with its colour.
func effectBadge(effect string) ui.Badge {
	kind := map[string]string{policy.Allow.String(): ui.Good, policy.Challenge.String(): ui.Warn, policy.Deny.String(): ui.Bad}[effect]
	return ui.Badge{Kind: cmp.Or(kind, ui.Neutral), Text: ui.Known(effect)}
}

// newEntryRow makes one line of an entry.
func newEntryRow(p pair) entryRow {
	e := p.entry
	row := entryRow{Index: e.Index, URL: entryURL(e.Index), Time: e.Time, Day: e.Time.UTC().Format(time.DateOnly), Clock: e.Time.UTC().Format("15:04:05"), Who: cmp.Or(e.Email, e.Actor, e.Account), Cluster: e.Cluster, Mono: true}
	if id := cmp.Or(e.Account, e.Actor); id != "" {
		row.WhoURL = "/console/log?account=" + url.QueryEscape(id)
	}
	switch e.Type {
	case policy.RecordRequest, policy.RecordOutcome:
		row.What, row.Kind = ui.Verbatim(e.Method+" "+e.Path), effectBadge(cmp.Or(e.Effect, "outcome"))
		row.Note, row.Codes = joinReasons(e.Reasons), strings.Join(e.Reasons, ", ")
	default:
		row.Mono = false
		row.What = actionWords(e.Action)
		if name := objectName(e.Object); name != "" && name != "log" && name != row.Who {
			row.What = ui.Say("{1}: {2}", row.What, name)
		}
		row.Kind = ui.Badge{Kind: ui.Neutral, Text: cmp.Or(typeWords[e.Type], ui.Verbatim(string(e.Type)))}
		if e.Result != "" && e.Result != "ok" {
			row.Kind, row.Note = ui.Badge{Kind: ui.Warn, Text: "not done"}, ui.Known(e.Result)
		}
	}
	last := e
	if p.outcome != nil {
		last = p.outcome
	}
	if last.Status != 0 {
		row.Status, row.StatusBad = strconv.Itoa(last.Status), last.Status >= 500
	}
	if last.Ended != "" {
		row.Note = ui.Say("cut short: {1}", ui.Known(last.Ended))
	}
	return row
}

// objectName is what an entry names without its kind, which its action says.
func objectName(object string) string {
	if _, name, ok := strings.Cut(object, ":"); ok {
		return name
	}
	return object
}

func entryURL(index uint64) string { return "/console/log/" + strconv.FormatUint(index, 10) }

// joinReasons says the first reason in words; the page of the entry has all of
// them with their codes.
func joinReasons(codes []string) ui.Text {
	if len(codes) == 0 {
		return ""
	}
	s := cmp.Or(reasonWords[codes[0]], ui.Verbatim(codes[0]))
	if more := len(codes) - 1; more > 0 {
		return ui.Say("{1} {2}", s, ui.Count(more, "And {1} further reason.", "And {1} further reasons."))
	}
	return s
}

// logPager leads to older entries by index, so that pages stay as they are
// while entries arrive. Going back to newer ones is the browser's own way.
func logPager(q url.Values, found found) ui.Pager {
	p := ui.Pager{Text: ui.Count(len(found.pairs), "{1} line, newest first", "{1} lines, newest first")}
	link := func(change func(url.Values)) string {
		n := maps.Clone(q)
		change(n)
		for k, v := range n {
			if len(v) == 0 || v[0] == "" {
				delete(n, k)
			}
		}
		if len(n) == 0 {
			return "/console/log"
		}
		return "/console/log?" + n.Encode()
	}
	if q.Get(searchBefore) != "" {
		p.Newer = link(func(n url.Values) { n.Del(searchBefore) })
	}
	if found.more {
		p.Older = link(func(n url.Values) { n.Set(searchBefore, strconv.FormatUint(found.oldest, 10)) })
	}
	return p
}

// searchControls are the fields of the search: those that are always shown,
// and the others.
func searchControls(f *form) (first, more []ui.Field, open bool) {
	types := make([]ui.Option, 0, len(recordTypes))
	for _, t := range recordTypes {
		types = append(types, ui.Option{Value: string(t), Label: typeWords[t]})
	}
	mono := func(name string, label, placeholder ui.Text) ui.Field {
		return with(f.search(name, label), func(u *ui.Field) { u.Placeholder = placeholder })
	}
	first = []ui.Field{
		mono(searchAccount, "Account", "e-mail or id"),
		mono(searchCluster, "Cluster", ""),
		f.choice(searchEffect, "Effect", "Any", options(effects)),
		mono(searchStatus, "Status", "403 or 4xx"),
		mono(searchPath, "Path", "/api or *.csv"),
		mono(searchSince, "Since (UTC)", "24h, 2026-01-31"),
		mono(searchUntil, "Until (UTC)", "2026-01-31"),
	}
	more = []ui.Field{
		f.choice(searchType, "Type", "Any", types),
		mono(searchVendor, "Vendor", ""),
		mono(searchAction, "Action", "account.disable"),
		mono(searchRequestID, "Request id", ""),
		mono(searchSession, "Session", ""),
		mono(searchText, "Any text", ""),
	}
	for _, field := range more {
		open = open || field.Value != "" || field.Error != ""
	}
	for _, name := range []string{searchBefore, searchAfter, searchLimit} { // set by links, not typed
		if f.Fault(name) != "" {
			more = append(more, f.search(name, ui.Verbatim(name)))
			open = true
		}
	}
	return first, more, open
}

// quickSearches are links to what is asked most often, which keep who and where.
func quickSearches(q url.Values) []ui.Link {
	with := func(label ui.Text, pairs ...string) ui.Link {
		n := url.Values{}
		for _, keep := range []string{searchAccount, searchCluster, searchVendor} {
			if v := q.Get(keep); v != "" {
				n.Set(keep, v)
			}
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			n.Set(pairs[i], pairs[i+1])
		}
		return ui.Link{Label: label, URL: "/console/log?" + n.Encode()}
	}
	return []ui.Link{
		with("Last hour", searchSince, "1h"),
		with("Denied today", searchEffect, "deny", searchSince, "24h"),
		with("Sign-ins", searchType, "login", searchSince, "7d"),
		with("Changes", searchType, "admin", searchSince, "30d"),
		with("Readings of this log", searchType, "log", searchSince, "7d"),
	}
}
