package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/review"
	"github.com/ringfence/ringfence/policy"
)

func mustParse(t *testing.T, s string) query.Node {
	t.Helper()
	n, err := query.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestUnbounded: bounds at the top are taken off; anywhere else there is no
// saying which entries were meant.
func TestUnbounded(t *testing.T) {
	for _, c := range []struct {
		query, conditions string
		bounds            int
		ok                bool
	}{
		{"", "", 0, true},
		{"since:7d", "", 1, true},
		{"effect:deny since:7d until:2026-01-01 index:3..9", "effect:deny", 3, true},
		{"effect:deny or since:7d", "", 0, false},
		{"not since:7d", "", 0, false},
		{"effect:deny (vendor:acme or (path:/x index:3))", "", 0, false},
		{"effect:deny,challenge status:403", "effect:deny,challenge status:403", 0, true},
	} {
		conditions, bounds, ok := unbounded(mustParse(t, c.query))
		if ok != c.ok || ok && (query.Print(conditions) != c.conditions || len(bounds) != c.bounds) {
			t.Errorf("%q: %q, %v, %v", c.query, query.Print(conditions), bounds, ok)
		}
	}
}

// TestUnreviewed: what a sign-off covers is its span, within what its reviewer
// may see, and nothing of what they did themselves.
func TestUnreviewed(t *testing.T) {
	o := newOffice(t, plainText)
	mine := o.entries.add(policy.Record{Type: policy.RecordAdmin, Time: o.now, Action: "vendor.suspend", Account: "rae", Actor: "rae", Cluster: "claims"}, nil)
	conditions := mustParse(t, "cluster:claims")
	count := func(offs ...review.SignOff) int {
		t.Helper()
		n, err := unreviewed(conditions, offs)
		if err != nil {
			t.Fatal(err)
		}
		if again := mustParse(t, query.Print(n)); !query.Equal(again, n) {
			t.Errorf("%s reads as something else", query.Print(n))
		}
		found, err := o.Search.Count(t.Context(), query.Request{Where: n, Now: o.now})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	all := count()
	if all < 30 {
		t.Fatalf("only %d entries", all)
	}
	size := o.entries.Size()
	if got := count(review.SignOff{From: 0, To: size, Account: "rae"}); got != 1 {
		t.Errorf("%d are left of what rae signed off, want the one of her own", got)
	}
	if got := count(review.SignOff{From: 0, To: size, Account: "rae"}, review.SignOff{From: mine, To: mine + 1, Account: "ada"}); got != 0 {
		t.Errorf("%d are left after two people", got)
	}
	if got := count(review.SignOff{From: 0, To: 20, Account: "rae"}, review.SignOff{From: 20, To: 40, Account: "rae"}); got >= all || got < 10 {
		t.Errorf("%d of %d are left of a part", got, all)
	}
	if got := count(review.SignOff{From: 0, To: size, Account: "rae", Scope: "cluster:maps"}); got != all {
		t.Errorf("a reviewer who sees only maps reviewed claims: %d of %d are left", got, all)
	}
	if _, err := unreviewed(conditions, []review.SignOff{{To: 1, Account: "rae", Scope: "cluster:("}}); err == nil {
		t.Error("a scope that cannot be read counts as all")
	}
}

// TestSearches_SavedSharedAndChanged goes through the forms.
func TestSearches_SavedSharedAndChanged(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("rae", "/console/log?q=effect:deny+since:1d"), http.StatusOK, "/console/log/searches/new?q=effect:deny", "Mark as reviewed", "Export")
	shows(t, o.get("rae", searchesPath+"/new?q=effect:deny"), http.StatusOK, "effect:deny</textarea>")
	shows(t, o.post("rae", searchesPath+"/new", url.Values{"title": {"Refused"}, "q": {"effect:"}}), http.StatusUnprocessableEntity, "At character")
	shows(t, o.post("rae", searchesPath+"/new", url.Values{"title": {"Refused"}, "q": {"effect:deny since:7d"}, "use": {"daily"}}), http.StatusUnprocessableEntity, "no bounds of time")
	shows(t, o.post("rae", searchesPath+"/new", url.Values{"title": {""}, "q": {"effect:deny"}}), http.StatusUnprocessableEntity, "Give a title.")
	leadsTo(t, o.post("rae", searchesPath+"/new", url.Values{"title": {"Mine"}, "q": {"vendor:acme since:7d"}}), searchesPath)
	leadsTo(t, o.post("rae", searchesPath+"/new", url.Values{"title": {"Refused"}, "q": {"  effect:deny   vendor:acme "}, "use": {"daily", "shared"}}), searchesPath)
	shows(t, o.get("rae", searchesPath), http.StatusOK, "“Refused” is saved.", "effect:deny vendor:acme", "only you", "reviewed daily", "/console/log?q=effect:deny%20vendor:acme")

	others := o.get("ada", searchesPath).Body.String()
	if strings.Contains(others, "Mine") || !strings.Contains(others, "Refused") || !strings.Contains(others, "rae@example.com") {
		t.Errorf("an administrator sees:\n%s", others)
	}
	if w := o.get("ada", savedSearchPath(1)+"/edit"); w.Code != http.StatusNotFound {
		t.Errorf("somebody else's own search: status %d", w.Code)
	}
	shows(t, o.get("ada", savedSearchPath(2)+"/edit"), http.StatusOK, "Refused")
	leadsTo(t, o.post("ada", savedSearchPath(2)+"/edit", url.Values{"seen": {"1"}, "title": {"Refused at all"}, "q": {"effect:deny"}, "use": {"shared", "daily"}}), searchesPath)
	shows(t, o.post("rae", savedSearchPath(2)+"/edit", url.Values{"seen": {"1"}, "title": {"Refused"}, "q": {"effect:deny"}}), http.StatusUnprocessableEntity, "Somebody else changed this")
	shows(t, o.post("rae", savedSearchPath(2)+"/edit", url.Values{"seen": {"1"}, "remove": {"yes"}}), http.StatusUnprocessableEntity, "Somebody else changed this")
	leadsTo(t, o.post("rae", savedSearchPath(2)+"/edit", url.Values{"seen": {"2"}, "remove": {"yes"}}), searchesPath)
	shows(t, o.get("rae", searchesPath), http.StatusOK, "“Refused at all” is removed.", "Mine")
	// Somebody else's search that a reviewer sees is not drawn for change, and refused.
	o.reviews.searches = append(o.reviews.searches, review.Search{ID: 9, Owner: "ada", Email: "ada@example.com", Title: "Ada's", Shared: true, Version: 1})
	if strings.Contains(o.get("rae", searchesPath).Body.String(), savedSearchPath(9)) {
		t.Error("a change that is refused is drawn")
	}
	if w := o.get("rae", savedSearchPath(9)+"/edit"); w.Code != http.StatusForbidden {
		t.Errorf("status %d", w.Code)
	}
}

// TestQueue_UntilEverythingIsReviewed: what is signed off is no longer in the
// queue, what has come since is, and nobody signs off what they did.
func TestQueue_UntilEverythingIsReviewed(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("rae", queuePath), http.StatusOK, "No search is reviewed daily")
	o.reviews.searches = []review.Search{{ID: 1, Owner: "rae", Email: "rae@example.com", Title: "Refused", Query: "effect:deny", Shared: true, Daily: true, Version: 1}}
	today := o.now.Format(time.DateOnly)
	link := reviewsPath + "/new?day=" + today + "&amp;search=1"
	shows(t, o.get("rae", queuePath), http.StatusOK, "Refused", "16 entries of the last 14 days", link)
	if r := o.entries.last("log.count"); r == nil || r.Actor != "rae" {
		t.Errorf("the look at the queue was not recorded: %+v", r)
	}
	w := o.get("rae", strings.ReplaceAll(link, "&amp;", "&"))
	shows(t, w, http.StatusOK, "Refused", "Not reviewed yet", "GET /admin", `name="first"`)
	if r := o.entries.last("log.query"); r == nil || !strings.HasPrefix(r.Detail["query"], "effect:deny index:") {
		t.Errorf("recorded %+v", r)
	}
	fields := hiddenFields(t, w.Body.String())
	o.entries.add(policy.Record{Type: policy.RecordRequest, Time: o.now, Effect: "deny", Account: "lee", Cluster: "maps", Path: "/late"}, nil)
	shows(t, o.post("rae", reviewsPath, fields), http.StatusUnprocessableEntity, "Say what you looked at")
	fields.Set("note", "All expected:\nthe tester.")
	leadsTo(t, o.post("rae", reviewsPath, fields), queuePath)
	off := o.reviews.offs[0]
	if off.Account != "rae" || off.Search != 1 || off.Matched != strings.Count(w.Body.String(), entryURL(0)[:len(entryURL(0))-1]) && off.Matched < 1 {
		t.Errorf("%+v", off)
	}
	shows(t, o.get("rae", queuePath), http.StatusOK, "marked as reviewed", link) // the late one waits
	shows(t, o.get("ada", reviewsPath), http.StatusOK, "the tester.", "rae@example.com", "Refused")

	// What was done by the reviewer waits for somebody else.
	o.entries.add(policy.Record{Type: policy.RecordRequest, Time: o.now, Effect: "deny", Account: "rae", Cluster: "maps", Path: "/own"}, nil)
	sign := func(as, day string) {
		t.Helper()
		w := o.get(as, reviewsPath+"/new?day="+day+"&search=1")
		if !strings.Contains(w.Body.String(), `name="first"`) {
			t.Fatalf("nothing to sign:\n%s", w.Body)
		}
		fields := hiddenFields(t, w.Body.String())
		fields.Set("note", "Seen.")
		leadsTo(t, o.post(as, reviewsPath, fields), queuePath)
	}
	sign("rae", today)
	sign("rae", o.now.AddDate(0, 0, -1).Format(time.DateOnly))
	shows(t, o.get("rae", queuePath), http.StatusOK, "1 entry of the last 14 days waits")
	sign("ada", today)
	shows(t, o.get("rae", queuePath), http.StatusOK, "Everything of the last 14 days was reviewed.")
	if got := o.reviews.offs[1]; got.Own != 1 {
		t.Errorf("%+v", got)
	}
}

// TestSignOff_OnlyWhatWasShown: a form that names entries that are not there
// yet, or a query that stands for no fixed entries, is refused.
func TestSignOff_OnlyWhatWasShown(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("rae", reviewsPath+"/new?q=effect:deny+since:2d&past=20"), http.StatusOK, "Your word")
	shows(t, o.get("rae", reviewsPath+"/new?q=effect:deny+or+since:2d"), http.StatusUnprocessableEntity, "bounds of time inside")
	shows(t, o.get("rae", reviewsPath+"/new?q=effect:deny+until:2020-01-01"), http.StatusOK, "nothing to review")
	good := url.Values{"q": {"effect:deny"}, "first": {"0"}, "past": {"20"}, "search": {"0"}, "note": {"x"}}
	for name, value := range map[string]string{"past": "100000", "first": "20", "q": "since:7d", "search": "nonsense"} {
		fields := url.Values{}
		for k, v := range good {
			fields[k] = v
		}
		fields.Set(name, value)
		if w := o.post("rae", reviewsPath, fields); w.Code != http.StatusBadRequest && w.Code != http.StatusNotFound {
			t.Errorf("%s=%s: status %d", name, value, w.Code)
		}
	}
	if len(o.reviews.offs) != 0 {
		t.Fatalf("%+v", o.reviews.offs)
	}
	leadsTo(t, o.post("rae", reviewsPath, good), reviewsPath)
	if got := o.reviews.offs[0]; got.From != 0 || got.To != 20 || got.Query != "effect:deny" || got.Matched == 0 {
		t.Errorf("%+v", got)
	}
	if o.entries.fail = http.ErrServerClosed; o.post("rae", reviewsPath, good).Code < 500 {
		t.Error("it was signed off without an entry")
	}
	if !slices.ContainsFunc(o.entries.entries, func(e accesslog.Entry) bool { return e.Action == "log.review" }) {
		t.Error("it was not recorded")
	}
}
