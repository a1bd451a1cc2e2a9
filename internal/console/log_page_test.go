package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/policy"
)

// visitOf is a visit of somebody at the office's time.
func (o *office) visitOf(t *testing.T, who string) *visit {
	t.Helper()
	sessions, err := o.Auth.SessionsOf(t.Context(), who)
	if err != nil || len(sessions) == 0 {
		t.Fatalf("%s has no session (%v)", who, err)
	}
	return &visit{c: o.Console, Session: &sessions[0], Now: o.now, Snapshot: o.dir.Snapshot()}
}

func parsed(t *testing.T, q string) query.Node {
	t.Helper()
	n, err := query.Parse(q)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Requests and outcomes are one line, on whatever page either stands, and pages
// lead back to where they came from.
func TestLog_LinesAndPages(t *testing.T) {
	o := newOffice(t, plainText)
	v := o.visitOf(t, "rae")
	n := parsed(t, "account:kim")
	var pages [][]uint64
	seen := map[uint64]bool{}
	var before uint64
	for {
		got, err := o.findLines(t.Context(), v, n, before, 7)
		if err != nil {
			t.Fatal(err)
		}
		var page []uint64
		for _, p := range got.pairs {
			if seen[p.entry.Index] {
				t.Errorf("entry %d is shown twice", p.entry.Index)
			}
			seen[p.entry.Index] = true
			page = append(page, p.entry.Index)
			switch {
			case p.entry.Type == policy.RecordOutcome:
				t.Errorf("outcome %d is a line of its own", p.entry.Index)
			case p.entry.Effect == "allow" && p.entry.RequestID != "req0043" && (p.outcome == nil || p.outcome.RequestID != p.entry.RequestID):
				t.Errorf("request %d lacks its outcome", p.entry.Index)
			}
		}
		pages = append(pages, page)
		if !got.older {
			break
		}
		before = got.oldest
	}
	if len(seen) != 49 {
		t.Errorf("%d lines, want 48 requests and one sign-in", len(seen))
	}
	for i := len(pages) - 1; i > 0; i-- {
		got, err := o.findNewer(t.Context(), v, n, pages[i][0], 7)
		if err != nil {
			t.Fatal(err)
		}
		var page []uint64
		for _, p := range got.pairs {
			page = append(page, p.entry.Index)
		}
		if !slices.Equal(page, pages[i-1]) {
			t.Errorf("newer than page %d comes %v, want %v", i, page, pages[i-1])
		}
	}
	got, err := o.findLines(t.Context(), v, parsed(t, "status:5xx"), 0, 20)
	if err != nil || len(got.pairs) != 8 {
		t.Fatalf("%d lines with a status of 5xx, want 8 (%v)", len(got.pairs), err)
	}
	for _, p := range got.pairs {
		if p.entry.Type != policy.RecordRequest || p.outcome == nil || p.outcome.Status != 502 {
			t.Errorf("entry %d is not joined with its outcome", p.entry.Index)
		}
	}
}

// mostRows notes how many rows one search answered with.
type mostRows struct {
	query.Engine
	n int
}

func (m *mostRows) Search(ctx context.Context, r query.Request) ([]query.Row, error) {
	rows, err := m.Engine.Search(ctx, r)
	m.n = max(m.n, len(rows))
	return rows, err
}

// TestLog_NewerIsBounded: a page of newer lines keeps little in memory, however
// many there are behind a stretch without any.
func TestLog_NewerIsBounded(t *testing.T) {
	o := newOffice(t, plainText)
	first := o.entries.Size()
	const quiet, busy, want = 700, 3000, 7
	for i := range quiet + busy {
		r := liveRecord(fmt.Sprintf("n%d", i), 1)
		if r.Cluster = "quiet"; i >= quiet {
			r.Cluster = "busy"
		}
		if _, err := o.entries.Record(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	m := &mostRows{Engine: o.Console.Search}
	o.Console.Search = m
	got, err := o.findNewer(t.Context(), o.visitOf(t, "rae"), parsed(t, "cluster:busy"), 1, want)
	if err != nil || len(got.pairs) != want || got.oldest != first+quiet || got.newest != first+quiet+want-1 {
		t.Errorf("%d lines from %d to %d, %v", len(got.pairs), got.oldest, got.newest, err)
	}
	if m.n > 10*want {
		t.Errorf("one search answered with %d rows for %d lines", m.n, want)
	}
}

// Each search has one address: what was typed otherwise, and the fields of
// addresses from before, lead there.
func TestLog_OneAddress(t *testing.T) {
	o := newOffice(t, plainText)
	size := o.entries.Size()
	for from, to := range map[string]string{
		"q=cluster:claims++effect:deny":           "?q=cluster:claims+effect:deny",
		"q=":                                      "",
		"q=who:kim":                               "?q=account:kim",
		"effect=deny&since=24h&type=request":      "?q=type:request+effect:deny+since:1d",
		"account=kim@example.com&path=/api":       "?q=account:kim@example.com+path:/api*",
		"path=*.csv":                              "?q=path:*.csv",
		"status=4XX&before=7":                     "?q=status:4xx&before=7",
		"text=two+words":                          "?q=%22two+words%22",
		"since=2026-03-01+14:30&until=2026-03-02": "?q=since:2026-03-01T14:30:00Z+until:2026-03-02",
		"q=effect:deny+or+effect:allow&vendor=x":  "?q=effect:deny,allow+vendor:x",
		"limit=5":                                 "",
		"session=a%22b*":                          "?q=session:%22a%5C%22b*%22",
	} {
		w := o.get("rae", "/console/log?"+from)
		got := w.Header().Get("Location")
		if w.Code != http.StatusSeeOther || got != "/console/log"+to {
			t.Errorf("%s leads to %d %q, want %q", from, w.Code, got, to)
			continue
		}
		if w := o.get("rae", got); w.Code != http.StatusOK {
			t.Errorf("%s: status %d", got, w.Code)
		}
	}
	if o.entries.Size() != size+12 {
		t.Error("being sent on is recorded, or reading is not")
	}
}

// A query that cannot be read is shown with the place, and with what was meant.
func TestLog_QueryFault(t *testing.T) {
	o := newOffice(t, plainText)
	size := o.entries.Size()
	shows(t, o.get("rae", "/console/log?q=effect:deny+cluter:claims+since:1d"), http.StatusUnprocessableEntity,
		"There is no field “cluter”", "Column 13", "effect:deny <mark>cluter:claims</mark> since:1d", `href="/console/log?q=effect:deny&#43;cluster:claims&#43;since:1d"`)
	for bad, says := range map[string]string{"(": "A condition is missing at the end", "since:soon": "This is neither a span", "status:x": "This is not a number", "a:b": "There is no field", "ip:1/2": "is not a network", "cluster:": "A value of cluster is missing",
		"status:4*": "A * is of no use in status", `"x`: "This quotation mark is not closed", strings.Repeat("x", 5000): "longer than 4096 bytes"} {
		shows(t, o.get("rae", "/console/log?q="+url.QueryEscape(bad)), http.StatusUnprocessableEntity, says)
	}
	if o.entries.Size() != size {
		t.Error("a search that was not made was recorded")
	}
}

// Whatever package query says has words that are translated.
func TestLog_FaultsAreWorded(t *testing.T) {
	for _, bad := range []string{"x)", strings.Repeat("(", 60), "(a", "or", ")", "a:,", "a,b", `""`, "ip:(", "a(b", `"\x"`, "since:200w200w", "since:9999w", "until:1800-01-01", "status:9..1", "status:99999999999999999999", "bytes_out:1xb",
		strings.Repeat("a ", 600), "since:7*", "\x00", "\xff", "bytes_out:9999999999999TB", "a -", "a OR b", "effect:denied"} {
		_, err := query.Parse(bad)
		fault, ok := err.(*query.Error)
		if !ok {
			continue
		}
		if said := queryFaultWords(fault); said.String() == fault.What {
			t.Errorf("%.20q: %q is worded in English only", bad, fault.What)
		}
	}
}

// The picture counts every line once, by what was decided, and each bar leads
// to the lines that it stands for.
func TestLog_Histogram(t *testing.T) {
	o := newOffice(t, plainText)
	v := o.visitOf(t, "rae")
	n := parsed(t, "account:kim since:30h")
	h := o.histogram(t.Context(), v, n, o.ownLog())
	var counts []int
	for _, s := range h.Series {
		counts = append(counts, s.N)
	}
	if !slices.Equal(counts, []int{24, 8, 16, 1}) || h.Total != 49 || len(h.Bars) > mostBars+1 {
		t.Fatalf("%v of %d in %d bars", counts, h.Total, len(h.Bars))
	}
	sum := 0
	for _, b := range h.Bars {
		if b.URL == "" {
			continue
		}
		u, err := url.Parse(b.URL)
		if err != nil {
			t.Fatal(err)
		}
		got, err := o.findLines(t.Context(), v, parsed(t, u.Query().Get("q")), 0, 100)
		if err != nil || len(got.pairs) != b.Sum {
			t.Errorf("%s: %d lines, the bar says %d (%v)", b.URL, len(got.pairs), b.Sum, err)
		}
		sum += b.Sum
	}
	if sum != h.Total {
		t.Errorf("bars have %d of %d", sum, h.Total)
	}
	if h := o.histogram(t.Context(), v, parsed(t, "account:kim or effect:deny since:1h"), o.ownLog()); h.Base != "(account:kim or effect:deny since:1h)" {
		t.Errorf("a script adds to %q", h.Base)
	}
}

// A facet counts, narrows and leaves out; a link to exactly these entries stays
// what it is while the log grows.
func TestLog_FacetsAndFixedLink(t *testing.T) {
	o := newOffice(t, plainText)
	w := o.get("rae", "/console/log?q=effect:deny")
	shows(t, w, http.StatusOK, `href="/console/log?q=effect:deny&#43;cluster:claims"`, `href="/console/log?q=effect:deny&#43;not&#43;cluster:claims"`, "method_out_of_scope", `path_out_of_scope</span><span class="facet-count">8<`)
	shows(t, o.get("rae", "/console/log?q=effect:deny&facets=more"), http.StatusOK, "User agent", "POST")
	fixed := ""
	for _, a := range addressesOf(t, w.Body.String()) {
		if strings.Contains(a, "index:") {
			fixed = strings.TrimPrefix(a, "GET ")
		}
	}
	first := strings.Count(o.get("rae", fixed).Body.String(), `class="of-no num muted"`)
	o.entries.add(policy.Record{Type: policy.RecordRequest, Effect: "deny", Cluster: "claims", Account: "kim", RequestID: "later", Method: "GET", Path: "/"}, nil)
	if again := strings.Count(o.get("rae", fixed).Body.String(), `class="of-no num muted"`); again != first || first != 16 {
		t.Errorf("%s had %d lines and has %d", fixed, first, again)
	}
}

// A timeline tells requests of one kind together, and all else one by one.
func TestTimeline(t *testing.T) {
	o := newOffice(t, plainText)
	for i := range 12 {
		id := fmt.Sprintf("burst%d", i)
		r := policy.Record{Type: policy.RecordRequest, Time: o.now.Add(-3*time.Hour + time.Duration(i)*time.Second), Effect: "allow", Cluster: "claims", Account: "kim", Session: "ses_burst", RequestID: id, Method: "GET", Path: fmt.Sprintf("/reports/%d", i%6)}
		o.entries.add(r, nil)
		r.Type, r.Effect, r.Status, r.BytesOut = policy.RecordOutcome, "", 200, policy.Int64(1024)
		o.entries.add(r, nil)
	}
	o.entries.add(policy.Record{Type: policy.RecordLogin, Time: o.now, Action: "session.end", Account: "kim", Session: "ses_burst"}, nil)
	w := o.get("rae", "/console/log/session/ses_burst")
	shows(t, w, http.StatusOK, "12 requests", "12.0 KiB sent", "GET /reports/0", "and 2 others", "session ended", "index:", "effect:allow", "Nothing for")
	if r := o.entries.last("log.query"); r.Object != "session:ses_burst" || r.Detail["query"] != "session:ses_burst" {
		t.Errorf("recorded as %+v", r)
	}
	shows(t, o.get("rae", "/console/log/account/kim"), http.StatusOK, "Kim Larsen", "/console/log/session/ses_burst")
	shows(t, o.get("rae", "/console/log/session/none"), http.StatusOK, "Nothing is recorded")
	shows(t, o.get("rae", "/console/log/session/"+strings.Repeat("x", 300)), http.StatusNotFound)
	shows(t, o.get("rae", "/console/log/session/x?nonsense=1"), http.StatusNotFound)
}
