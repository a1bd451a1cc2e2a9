package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/review"
	"github.com/ringfence/ringfence/policy"
)

// limit makes rae a reviewer of some clusters only.
func (o *office) limit(clusters ...string) {
	o.dir.mu.Lock()
	defer o.dir.mu.Unlock()
	for i := range o.dir.d.Accounts {
		if a := &o.dir.d.Accounts[i]; a.ID == "rae" {
			a.Roles, a.LogClusters = []policy.Role{policy.Reviewer}, clusters
		}
	}
}

// What a reviewer of one cluster is shown of the log is about that cluster, on
// every page and through the API; and a search cannot ask its way around it.
func TestLogScope_LimitedReviewer(t *testing.T) {
	o := newOffice(t, plainText)
	var claims, maps, none uint64
	for i := range o.entries.entries {
		e := &o.entries.entries[i]
		switch {
		case e.Type == policy.RecordRequest && e.Cluster == "claims":
			claims = e.Index
		case e.Type == policy.RecordRequest && e.Cluster == "maps":
			maps = e.Index
		case e.Type == policy.RecordLogin:
			none = e.Index
		}
	}
	if claims == 0 || maps == 0 || none == 0 {
		t.Fatal("the sample log lacks what this is about", claims, maps, none)
	}
	shows(t, o.get("rae", entryURL(maps)), http.StatusOK)
	o.limit("claims")
	shows(t, o.get("rae", entryURL(claims)), http.StatusOK)
	for _, index := range []uint64{maps, none} {
		shows(t, o.get("rae", entryURL(index)), http.StatusNotFound)
	}
	for _, q := range []string{"", "?cluster=maps", "?type=login"} {
		w := o.get("rae", "/console/log"+q)
		if to := w.Header().Get("Location"); to != "" { // the same search in the query language
			w = o.get("rae", to)
		}
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d", q, w.Code)
		}
		for _, index := range []uint64{maps, none} {
			if strings.Contains(w.Body.String(), `"`+entryURL(index)+`"`) {
				t.Errorf("/console/log%s leads to entry %d", q, index)
			}
		}
		more := "&"
		if q == "" {
			more = "?"
		}
		for line := range strings.Lines(o.get("rae", "/api/v1/log/entries"+q).Body.String() + o.get("rae", "/api/v1/log/entries"+q+more+"q=").Body.String()) {
			if !strings.Contains(line, `"cluster":"claims"`) {
				t.Errorf("/api/v1/log/entries%s shows %s", q, line)
			}
		}
	}
	over := o.get("rae", "/console/")
	if over.Code != http.StatusOK || strings.Contains(over.Body.String(), "cluster=maps") || strings.Contains(over.Body.String(), "no cluster") {
		t.Error("the overview counts other clusters")
	}
}

// The condition that searches are joined with selects what maySee shows.
func TestLogScope_QueryAgrees(t *testing.T) {
	o := newOffice(t, plainText)
	for _, clusters := range [][]string{nil, {"claims"}, {"claims", "maps"}} {
		o.limit(clusters...)
		v := o.visitOf(t, "rae")
		f := query.Compile(query.All(v.mayRead()), o.now)
		for i := range o.entries.entries {
			e := &o.entries.entries[i]
			if f.Match(e) != v.maySee(e) || v.maySee(e) != (accesslog.Filter{Clusters: v.filterScope()}).Match(e) {
				t.Errorf("%v: entry %d of cluster %q", clusters, e.Index, e.Cluster)
			}
		}
		if n := v.mayRead(); n != nil {
			back, err := query.Parse(query.Print(n))
			if err != nil || !query.Equal(back, n) {
				t.Errorf("%v: %s reads back as %v, %v", clusters, query.Print(n), back, err)
			}
		}
	}
	// Whoever is in no directory sees nothing.
	v := o.visitOf(t, "rae")
	v.Session.Account = "nobody"
	f := query.Compile(v.mayRead(), o.now)
	for i := range o.entries.entries {
		e := &o.entries.entries[i]
		if v.maySee(e) || f.Match(e) || (accesslog.Filter{Clusters: v.filterScope()}).Match(e) {
			t.Errorf("a stranger sees entry %d", e.Index)
		}
	}
}

// Only whose one role is reviewer can be limited, and to clusters that there are.
func TestLogScope_Form(t *testing.T) {
	o := newOffice(t, plainText)
	edit := func(fields url.Values) (int, string) {
		fields.Set("name", "Rae")
		fields.Set("seen", o.state("/console/people/rae/edit"))
		w := o.post("ada", "/console/people/rae/edit", fields)
		return w.Code, w.Body.String()
	}
	if code, body := edit(url.Values{"roles": {"reviewer"}, "log_clusters": {"claims"}}); code != http.StatusSeeOther {
		t.Fatalf("limiting: %d %s", code, body)
	}
	a, ok := o.dir.Snapshot().Account("rae")
	if !ok || len(a.LogClusters) != 1 || a.LogClusters[0] != "claims" {
		t.Fatalf("%+v", a)
	}
	shows(t, o.get("ada", "/console/people/rae/edit"), http.StatusOK, "A reviewer reads the access log of these clusters only")
	if code, body := edit(url.Values{"roles": {"reviewer"}, "log_clusters": {"nowhere"}}); code != http.StatusUnprocessableEntity || !strings.Contains(body, "not among the choices") {
		t.Errorf("an unknown cluster: %d", code)
	}
	if code, body := edit(url.Values{"roles": {"reviewer", "approver"}, "log_clusters": {"claims"}}); code != http.StatusUnprocessableEntity || !strings.Contains(body, "one role is reviewer") {
		t.Errorf("an approver is limited: %d", code)
	}
}

// What policies are tried with comes out of the log as well: neither the form
// filled in from an entry, nor a replay that somebody else asked for, nor what
// the shadow found shows other clusters' requests.
func TestLogScope_Policies(t *testing.T) {
	o := newTrialOffice(t)
	entry := o.record(1, "/reports/secret", nil)
	o.shadows.all = []change.Shadow{{ID: 1, Draft: 1, Title: "Open the secrets"}}
	o.shadows.found = []change.Difference{{Count: 12, DifferenceKey: change.DifferenceKey{Turn: "narrowed", Account: "kim", Email: "kim@example.com", Cluster: "claims", NewReasons: "no_quarter"}}}
	leadsTo(t, o.post("ada", replayOf1, fromBeginning), replayOf1)
	o.ends("replay")
	o.limit("claims")
	shows(t, o.get("rae", tryURL(entry)), http.StatusOK, "/reports/secret")
	shows(t, o.get("rae", shadowPath), http.StatusOK, "no_quarter")
	o.limit("maps")
	for method, w := range map[string]*httptest.ResponseRecorder{
		"GET":  o.get("rae", tryURL(entry)),
		"POST": o.do("rae", http.MethodPost, tryPath, tryValuesOf("entry", fmt.Sprint(entry), "facts", "then", "path", "/reports/secret"), "Sec-Fetch-Site", "same-origin"),
	} {
		if w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "kim@example.com") {
			t.Errorf("%s: an entry of another cluster can be tried: status %d", method, w.Code)
		}
	}
	if w := o.get("rae", replayOf1); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "kim@example.com") {
		t.Errorf("another's replay is shown: status %d", w.Code)
	}
	if w := o.get("rae", shadowPath); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "no_quarter") {
		t.Errorf("the shadow shows another cluster's requests: status %d", w.Code)
	}
}

// What others signed off, and what they wrote of it, is about clusters that a
// limited reviewer may not read.
func TestLogScope_SignOffs(t *testing.T) {
	o := newOffice(t, plainText)
	o.limit("claims")
	scope := query.Print(o.visitOf(t, "rae").mayRead())
	o.reviews.offs = []review.SignOff{
		{ID: 1, Account: "ada", Email: "ada@example.com", Query: "effect:deny", From: 0, To: 20, Matched: 16, Note: "The maps were copied."},
		{ID: 2, Account: "pat", Email: "pat@example.com", Query: "effect:deny", Scope: scope, From: 0, To: 20, Matched: 3, Note: "Only claims."},
		{ID: 3, Account: "rae", Email: "rae@example.com", Query: "effect:deny", From: 0, To: 20, Matched: 16, Note: "When I read all."},
	}
	w := o.get("rae", reviewsPath)
	shows(t, w, http.StatusOK, "Only claims.", "When I read all.")
	if strings.Contains(w.Body.String(), "The maps were copied.") {
		t.Error("a limited reviewer is shown what others found elsewhere")
	}
	shows(t, o.get("ada", reviewsPath), http.StatusOK, "Only claims.", "The maps were copied.")
}
