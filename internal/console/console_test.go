package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// officePath fills a pattern with objects that the office has.
func officePath(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	id, name := "kim", "acme"
	switch {
	case strings.Contains(path, "/engagements/"):
		name = "migration"
	case strings.Contains(path, "/clusters/"):
		name = "claims"
	case strings.Contains(path, "/policies/"):
		id = "1"
	}
	return method, strings.NewReplacer("{$}", "", "{id}", id, "{name}", name, "{cluster}", "claims", "{session}", "none", "{index}", "1", "{rule}", "denials", "{receiver}", "hook").Replace(path)
}

// TestConsoleRoutes_RoleMatrix walks the console's table with every role over
// objects that exist: who may gets an answer, who may not gets none and changes
// nothing.
func TestConsoleRoutes_RoleMatrix(t *testing.T) {
	roles := map[string]policy.Role{"ada": policy.Administrator, "abe": policy.Approver, "rae": policy.Reviewer, "kim": policy.Contractor, "": ""}
	walked := 0
	for _, who := range []string{"", "kim", "abe", "rae", "ada"} { // who may change comes last
		o := newOffice(t, plainText)
		for _, rt := range o.consoleRoutes() {
			method, path := officePath(rt.pattern)
			before, entries := len(o.dir.actors), o.entries.Size()
			w := o.do(who, method, path, "", "Sec-Fetch-Site", "same-origin")
			checkHeaders(t, rt.pattern+" by "+who, w.Header())
			walked++
			role := roles[who]
			allowed := role != "" && (rt.need.level == levelSignedIn || slices.Contains(rt.need.roles, role))
			switch {
			case allowed && (w.Code == http.StatusForbidden || w.Code == http.StatusUnauthorized || w.Code >= 500):
				t.Errorf("%s by %q: status %d, want allowed:\n%s", rt.pattern, who, w.Code, w.Body)
			case !allowed && who != "" && w.Code != http.StatusForbidden:
				t.Errorf("%s by %q: status %d, want 403", rt.pattern, who, w.Code)
			case who == "" && w.Code != http.StatusUnauthorized && !strings.HasPrefix(w.Header().Get("Location"), "/login"):
				t.Errorf("%s by nobody: status %d", rt.pattern, w.Code)
			case who != "ada" && len(o.dir.actors) != before:
				t.Errorf("%s by %q changed the directory", rt.pattern, who)
			case !allowed && o.entries.Size() != entries:
				t.Errorf("%s by %q read the log", rt.pattern, who)
			}
		}
	}
	if walked < 200 {
		t.Fatalf("only %d requests were made", walked)
	}
}

// What a role may not do is not drawn: a page that a reviewer or approver sees
// leads to no address that would refuse them.
func TestConsole_NothingRefusedIsDrawn(t *testing.T) {
	if testing.Short() {
		t.Skip("opens every page, one after the other")
	}
	o := newOffice(t, plainText)
	for _, who := range []string{"abe", "rae", "ada"} {
		for _, p := range deskPages {
			w := o.get(who, p.target)
			if w.Code != http.StatusOK {
				continue
			}
			for _, target := range addressesOf(t, w.Body.String()) {
				method, path, _ := strings.Cut(target, " ")
				if !strings.HasPrefix(path, "/console") {
					continue
				}
				r, err := http.NewRequest(method, officeGate+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				found := false
				for _, rt := range o.consoleRoutes() {
					if m, pattern, _ := strings.Cut(rt.pattern, " "); m == method && fits(pattern, r.URL.Path) {
						found = true
						if sessions, err := o.Auth.SessionsOf(t.Context(), who); err != nil || !rt.need.met(&sessions[0]) {
							t.Errorf("%s draws %s for %s, who may not use it (%v)", p.target, target, who, err)
						}
						break
					}
				}
				if !found {
					t.Errorf("%s draws %s, which no route answers", p.target, target)
				}
			}
		}
	}
}

// fits reports whether a pattern of the table, read in order, answers a path.
func fits(pattern, path string) bool {
	a, b := strings.Split(strings.TrimSuffix(pattern, "{$}"), "/"), strings.Split(path, "/")
	return slices.EqualFunc(a, b, func(x, y string) bool {
		return x == y || strings.HasPrefix(x, "{") && y != "new" && (y != "invite" || x != "{id}")
	})
}

// TestXSS_Console puts what an attacker would write into names, paths, user
// agents and reasons, and looks at every page of the console.
func TestXSS_Console(t *testing.T) {
	if testing.Short() {
		t.Skip("opens every page, one after the other")
	}
	for _, bad := range hostile {
		o := newOffice(t, func(string) string { return bad })
		for _, p := range deskPages {
			w := o.get(p.as, p.target)
			if w.Code >= 500 {
				t.Fatalf("%s with %q: status %d", p.name, bad, w.Code)
			}
			checkHeaders(t, p.name, w.Header())
			assertInert(t, p.name+" with "+bad, w.Body.String())
		}
		q := url.Values{}
		for _, name := range searchFields {
			q.Set(name, bad)
		}
		for _, target := range []string{"/console/log?" + q.Encode(), "/console/people?text=" + url.QueryEscape(bad), "/console/people/invite?roles=" + url.QueryEscape(bad) + "&name=" + url.QueryEscape(bad),
			"/console/assignments?cluster=" + url.QueryEscape(bad)} {
			assertInert(t, target, o.get("ada", target).Body.String())
		}
	}
}

// Empty lists say what they are for.
func TestConsolePages_Empty(t *testing.T) {
	o := newOffice(t, plainText)
	o.alarms.alarms = nil
	o.dir.d = &directory.Directory{Accounts: o.dir.d.Accounts[:1]}
	o.entries.entries = nil
	o.alarms.alarms = nil
	for target, want := range map[string]string{
		"/console/": "Nothing needs attention", "/console/people": "Ada Brandt", "/console/vendors": "No vendors yet", "/console/engagements": "No engagements yet",
		"/console/clusters": "No clusters yet", "/console/assignments": "No assignments yet", "/console/log?q=type:request": "No entry matches",
	} {
		if target == "/console/" {
			o.Console.Status = nil
		}
		shows(t, o.get("ada", target), http.StatusOK, want)
	}
}

func TestOverview_NeedsAttention(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("abe", "/console/"), http.StatusOK, "12 days left", "Claims migration 2026", "Orbit Contractors", "laptop was stolen", "http://10.20.0.6:8080", "Ivy Chen", "not enrolled",
		"0123456789abcdef", "gw1.northwind.example", "48 decisions", "2 decisions")
	o.entries.sick = accesslog.ErrUnavailable
	shows(t, o.get("abe", "/console/"), http.StatusOK, "The access log cannot be written")
	if strings.Contains(o.get("abe", "/console/").Body.String(), "/console/log") {
		t.Error("an approver is led to the log")
	}
	if o.entries.last("log.query") != nil {
		t.Error("counting was recorded as a reading")
	}
}

// A broken log takes no page down that is needed to mend things.
func TestOverview_LogBroken(t *testing.T) {
	o := newOffice(t, plainText)
	o.entries.broken = accesslog.ErrUnavailable
	shows(t, o.get("ada", "/console/"), http.StatusOK, "There are more decisions")
}

func TestSearch_ParsesStrictly(t *testing.T) {
	now := sampleNow
	for query, field := range map[string]string{
		"since=yesterday": searchSince, "since=2026-13-01": searchSince, "since=5": searchSince, "since=0h": searchSince, "since=1999-01-01": searchSince, "until=24": searchUntil,
		"since=2026-02-01&until=2026-01-01": searchUntil, "since=-1h": searchSince, "since=99999999h": searchSince, "status=99": searchStatus, "status=600": searchStatus, "status=4": searchStatus, "status=6xx": searchStatus,
		"status=%2B200": searchStatus, "effect=maybe": searchEffect, "type=all": searchType, "path=api": searchPath, "account=a+b": searchAccount, "before=x": searchBefore, "before=-1": searchBefore, "after=1.5": searchAfter,
		"limit=0": searchLimit, "limit=101": searchLimit, "limit=ten": searchLimit, "cluster=a%00b": searchCluster, "effect=deny&effect=allow": searchEffect, "text=%ff": searchText, "path=%2Fa%0Ab": searchPath,
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, f := parseSearch(q, now, 100); f.Fault(field) == "" {
			t.Errorf("%s: no fault of %s, but %v %v", query, field, f.faults, f.Notes)
		}
	}
	if _, f := parseSearch(url.Values{"user": {"kim"}}, now, 100); len(f.Notes) != 1 {
		t.Errorf("an unknown field was accepted: %v", f.Notes)
	}
	for query, want := range map[string]accesslog.Filter{
		"since=24h":                                         {Since: now.Add(-24 * time.Hour)},
		"since=2026-03-01":                                  {Since: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)},
		"until=2026-03-01":                                  {Until: time.Date(2026, 3, 2, 0, 0, 0, -1, time.UTC)},
		"since=2026-03-01+14:30":                            {Since: time.Date(2026, 3, 1, 14, 30, 0, 0, time.UTC)},
		"since=2026-03-01T14:30:00%2B02:00":                 {Since: time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)},
		"status=403&effect=deny":                            {Status: 403, Effect: "deny"},
		"status=4XX&path=*.csv":                             {Status: 4, Path: "*.csv"},
		"account=+kim@example.com+&before=7&limit=20&type=": {Account: "kim@example.com", Before: 7, Limit: 20},
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got, f := parseSearch(q, now, 100); !f.OK() || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v (%v %v)", query, got, want, f.faults, f.Notes)
		}
	}
}

// A faulty search shows a message with what was typed, and reads nothing.
func TestLog_FaultySearch(t *testing.T) {
	o := newOffice(t, plainText)
	before := o.entries.Size()
	shows(t, o.get("rae", "/console/log?since=yesterday&nonsense=1"), http.StatusUnprocessableEntity, "since=yesterday", "Give a date", "There is no field")
	if o.entries.Size() != before {
		t.Error("a search that was not made was recorded")
	}
}

func TestLog_EveryReadingIsRecorded(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("rae", "/console/log?q=effect:deny+since:1d"), http.StatusOK, "method_out_of_scope")
	r := o.entries.last("log.query")
	if r == nil || r.Type != policy.RecordLog || r.Actor != "rae" || r.Email != "rae@example.com" || r.RequestID == "" || r.SourceIP != "198.51.100.24" ||
		!reflect.DeepEqual(r.Detail, map[string]string{"query": "effect:deny since:1d"}) {
		t.Errorf("the reading is recorded as %+v", r)
	}
	shows(t, o.get("ada", "/console/log/5"), http.StatusOK, "was denied")
	if r := o.entries.last("log.entry"); r == nil || r.Actor != "ada" || r.Detail["index"] != "5" {
		t.Errorf("the reading of an entry is recorded as %+v", r)
	}
	o.get("ada", "/console/people/kim")
	if r := o.entries.last("log.query"); r.Actor != "ada" || r.Detail["query"] != "account:kim" {
		t.Errorf("the reading on a person's page is recorded as %+v", r)
	}
	o.get("rae", "/api/v1/log/entries?limit=1")
	if r := o.entries.last("log.query"); r.Detail["via"] != "api" || r.Detail["limit"] != "1" {
		t.Errorf("the reading through the API is recorded as %+v", r)
	}
}

// What cannot be recorded is not shown.
func TestLog_NothingShownUnrecorded(t *testing.T) {
	o := newOffice(t, plainText)
	o.entries.fail = accesslog.ErrUnavailable
	for _, target := range []string{"/console/log", "/console/log/5", "/console/people/kim", "/api/v1/log/entries"} {
		w := o.get("rae", target)
		shows(t, w, http.StatusServiceUnavailable)
		if strings.Contains(w.Body.String(), "88213") {
			t.Errorf("%s shows entries whose reading is not recorded", target)
		}
	}
	o.entries.fail = nil
	shows(t, o.get("rae", "/console/log"), http.StatusOK)
}

// Every field of a record is on the page of its entry, in words.
func TestEntry_ShowsEveryField(t *testing.T) {
	e := &accesslog.Entry{Index: 7, Node: "mark-node", Clock: sampleNow}
	r := reflect.ValueOf(&e.Record).Elem()
	marks := map[string]string{}
	for i := range r.NumField() {
		name := r.Type().Field(i).Name
		if name == "Document" {
			continue // it is no field of the entry
		}
		mark := "mark-" + strings.ToLower(name)
		switch f := r.Field(i).Addr().Interface().(type) {
		case *string:
			*f = mark
		case *policy.RecordType:
			*f = policy.RecordType(mark)
		case *time.Time:
			*f, mark = sampleNow.Add(time.Hour), "12 Mar 2026, 10:30"
		case *[]string:
			*f = []string{mark}
		case *map[string]int64:
			*f = map[string]int64{mark: 61}
		case *map[string]string:
			*f = map[string]string{"a": mark}
		case **int64:
			n := int64(len(marks) + 500)
			*f, mark = &n, ""
		case *int:
			*f, mark = 418, "418 I'm a teapot"
		case **policy.Obligations:
			*f, mark = &policy.Obligations{MaxResponseBytes: 5, EgressBudget: 6, Mask: []string{"m1"}, StripHeaders: []string{"h1"}, MaxCodeAge: 7, Notify: []string{"n1"}},
				"at most 5 bytes in the response; at most 6 bytes a day; these fields blanked: m1; these response headers taken off: h1; a code no older than 7s; told to n1"
		case **policy.RecordedInput:
			*f = &policy.RecordedInput{Version: 1, Roles: []policy.Role{"r1"}, TokenCluster: "c1", TokenBinding: "b1", TokenScope: &policy.TokenScope{Access: "read", Paths: [][]string{{"p"}}},
				Query: map[string][]string{"q": {"v1"}}, Headers: map[string]string{"x-ticket": "T-1"}, TLS: &policy.TLS{Version: "1.3", Cipher: "C"}, Allowed: true, Withheld: []string{"request.headers.referer"}}
			mark = "Roles: r1\nToken for: c1\nToken bound to: b1\nToken narrowed to: {\"access\":\"read\",\"methods\":null,\"paths\":[[\"p\"]]}\n" +
				"Query field q: v1\nHeader x-ticket: T-1\nTLS: 1.3 C\nPolicies: The policies allowed it; the gateway itself refused.\nNot kept: request.headers.referer"
		default:
			t.Fatalf("a field %s of a type that the page does not know", name)
		}
		marks[name] = mark
	}
	var all strings.Builder
	for _, g := range entryGroups(e) {
		for _, l := range g.Lines {
			all.WriteString(l.Label.String() + ": " + l.Value.String() + "\n")
		}
	}
	for _, l := range reasonLines(e.Reasons) {
		all.WriteString(l.Code + "\n")
	}
	for name, mark := range marks {
		if !strings.Contains(all.String(), mark) {
			t.Errorf("the field %s (%q) is not shown in:\n%s", name, mark, all.String())
		}
	}
	for _, label := range []string{"Received", "Sent", "First byte after", "Duration", "Age of the code", "Own time", "mark-node"} {
		if !strings.Contains(all.String(), label) {
			t.Errorf("%s is not shown", label)
		}
	}
}

func TestEntry_PartnerAndFacts(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("rae", "/console/log/1"), http.StatusOK, `href="/console/log/2"`, "status 200", "The assignment is in force until", "Reading only", `&#34;index&#34;: 1`, "q=session:ses_kim")
	shows(t, o.get("rae", "/console/log/2"), http.StatusOK, `href="/console/log/1"`, "was answered with status 200")
	for _, gone := range []string{"/console/log/999999", "/console/log/-1", "/console/log/01", "/console/log/x", "/console/log/18446744073709551615"} {
		shows(t, o.get("rae", gone), http.StatusNotFound)
	}
}

func TestAPI_DescribedByOpenAPI(t *testing.T) {
	o := newOffice(t, plainText)
	var doc struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	var described, routed []string
	for path, methods := range doc.Paths {
		for method := range methods {
			described = append(described, strings.ToUpper(method)+" "+apiPrefix+path)
		}
	}
	for _, rt := range o.apiRoutes() {
		routed = append(routed, rt.pattern)
		if !rt.json {
			t.Errorf("%s is not marked as JSON", rt.pattern)
		}
	}
	slices.Sort(described)
	slices.Sort(routed)
	if !slices.Equal(described, routed) || doc.OpenAPI != "3.1.0" {
		t.Errorf("described:\n%q\nrouted:\n%q", described, routed)
	}
	var entries struct {
		Parameters []struct{ Name string }
	}
	if err := json.Unmarshal(doc.Paths["/log/entries"]["get"], &entries); err != nil {
		t.Fatal(err)
	}
	var fields []string
	for _, p := range entries.Parameters {
		fields = append(fields, p.Name)
	}
	known := append([]string{searchQuery}, searchFields...)
	slices.Sort(fields)
	slices.Sort(known)
	if !slices.Equal(fields, known) {
		t.Errorf("described fields %q, known %q", fields, known)
	}
}

func TestAPI(t *testing.T) {
	o := newOffice(t, plainText)
	js := []string{"Content-Type", "application/json", "Sec-Fetch-Site", "same-origin", "Accept", "application/json"}
	shows(t, o.do("kim", "GET", "/api/v1/me", "", js...), 200, `"email": "kim@example.com"`, `"code_age_s": 0`, `"contractor"`)
	shows(t, o.do("kim", "GET", "/api/v1/clusters", "", js...), 200, `"https://claims.test:8443/"`, `"access": "read"`, `"methods": []`)
	shows(t, o.do("rae", "GET", "/api/v1/clusters", "", js...), 200, `"clusters": []`)
	shows(t, o.do("", "GET", "/api/v1/me", "", js...), 401, `"sign_in_required"`, `"request_id"`, `"sign_in": "https://gate.test:8443/login"`)
	shows(t, o.do("", "GET", "/api/v1/me", "", "Authorization", "Bearer rft_0000"), 401, `"sign_in_required"`)
	shows(t, o.do("kim", "GET", "/api/v1/nothing", ""), 404, `"not_found"`)
	shows(t, o.do("kim", "GET", "/api/v1/me?x=1", ""), 400, `"unknown_field"`)
	shows(t, o.do("kim", "GET", "/api/v1/log/entries", ""), 403, `"forbidden"`)
	shows(t, o.do("rae", "GET", "/api/v1/log/entries?since=never", ""), 400, `"invalid_since"`)

	// A form of another site could send text/plain, but not this type.
	shows(t, o.do("kim", "POST", "/api/v1/tokens", `{"cluster":"claims"}`, "Content-Type", "text/plain", "Sec-Fetch-Site", "same-origin"), 415)
	if w := o.do("kim", "POST", "/api/v1/tokens", `{"cluster":"claims","name":"x","minutes":5}`, "Content-Type", "application/json", "Sec-Fetch-Site", "cross-site"); w.Code < 400 {
		t.Errorf("a post of another site got through: %d", w.Code)
	}
	for _, body := range []string{"", "{", "[]", `{"cluster":"claims","name":"x","minutes":5,"admin":true}`, `{"cluster":"claims","name":"x","minutes":5} {}`, `{"cluster":1}`} {
		shows(t, o.do("kim", "POST", "/api/v1/tokens", body, js...), 400, `"bad_request"`)
	}
	shows(t, o.do("kim", "POST", "/api/v1/tokens", `{"cluster":"payroll","name":"","minutes":61}`, js...), 400, `"invalid_cluster"`, `"invalid_name"`, `"invalid_minutes"`)
	shows(t, o.do("kim", "POST", "/api/v1/tokens", strings.Repeat(" ", 5000), js...), 413)
	made := o.do("kim", "POST", "/api/v1/tokens", `{"cluster":"claims","name":"import","minutes":5}`, js...)
	shows(t, made, 201, `"secret": "rft_`)
	var token apiToken
	if err := json.Unmarshal(made.Body.Bytes(), &token); err != nil {
		t.Fatal(err)
	}
	if list := o.do("kim", "GET", "/api/v1/tokens", "", js...); !strings.Contains(list.Body.String(), token.ID) || strings.Contains(list.Body.String(), "rft_") {
		t.Errorf("the list of tokens is %s", list.Body)
	}
	shows(t, o.do("rae", "DELETE", "/api/v1/tokens/"+token.ID, "", js...), 404)
	shows(t, o.do("kim", "DELETE", "/api/v1/tokens/"+token.ID, "", js...), 204)
	shows(t, o.do("kim", "DELETE", "/api/v1/tokens/"+token.ID, "", js...), 404)
	o.now = o.now.Add(16 * time.Minute)
	shows(t, o.do("kim", "POST", "/api/v1/tokens", `{"cluster":"claims","name":"import","minutes":5}`, js...), 401, `"code_stale"`)
}

func TestAPI_Entries(t *testing.T) {
	o := newOffice(t, plainText)
	w := o.get("rae", "/api/v1/log/entries?type=request&limit=3")
	shows(t, w, 200)
	if kind := w.Header().Get("Content-Type"); !strings.HasPrefix(kind, "application/x-ndjson") {
		t.Errorf("the type is %s", kind)
	}
	n := 0
	for line := range strings.Lines(w.Body.String()) {
		var e struct{ Type, Node string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Type != "request" || e.Node != "gw1" {
			t.Errorf("line %q: %v", line, err)
		}
		n++
	}
	next := w.Header().Get("Link")
	if n != 3 || !strings.Contains(next, "before=") || !strings.Contains(next, `rel="next"`) {
		t.Errorf("%d lines, then %q", n, next)
	}
	o.entries.broken = accesslog.ErrUnavailable
	shows(t, o.get("rae", "/api/v1/log/entries"), 500, `"internal"`)
}

// The API speaks the query language too, alone and with fields beside it.
func TestAPI_EntriesByQuery(t *testing.T) {
	o := newOffice(t, plainText)
	entries := func(address string, want int) (first uint64, next string) {
		t.Helper()
		w := o.get("rae", address)
		shows(t, w, 200)
		n := 0
		for line := range strings.Lines(w.Body.String()) {
			var e struct {
				Index  uint64
				Type   string
				Effect string
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Type != "request" || e.Effect != "deny" {
				t.Errorf("line %q: %v", line, err)
			}
			if n++; n == 1 {
				first = e.Index
			}
		}
		if n != want {
			t.Errorf("%s: %d lines, want %d", address, n, want)
		}
		next, _, _ = strings.Cut(strings.TrimPrefix(w.Header().Get("Link"), "<"), ">")
		return first, next
	}
	newest, next := entries("/api/v1/log/entries?q=effect:deny&limit=1", 1)
	if !strings.Contains(next, "q=effect%3Adeny") {
		t.Fatalf("next is %q", next)
	}
	if second, _ := entries(next, 1); second >= newest {
		t.Errorf("entry %d follows %d", second, newest)
	}
	entries("/api/v1/log/entries?q=effect:deny&type=login", 0)
	entries(fmt.Sprintf("/api/v1/log/entries?q=effect:deny&after=%d", newest), 0)
	entries(fmt.Sprintf("/api/v1/log/entries?q=effect:deny&after=%d", newest-1), 1)
	shows(t, o.get("rae", "/api/v1/log/entries?q=efect:deny"), 400, `"invalid_q"`, "column 1", "did you mean effect")
	shows(t, o.get("rae", "/api/v1/log/entries?q=a&q=b"), 400, `"invalid_q"`)
	shows(t, o.get("rae", "/api/v1/log/entries?type=log&action=log.query"), 200, `"query":"effect:deny"`, `"via":"api"`)
}
