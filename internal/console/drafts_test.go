package console

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/change/changetest"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/studio"
)

const noDelete = `package ringfence.all

import rego.v2

deny contains {
	"code": "no_delete",
	"message": "Nothing is deleted here.",
	"help": "Ask the owner of the cluster.",
} if {
	input.request.method == "DELETE"
}
`

const noDeleteTest = `package ringfence.all_test

import rego.v2

import data.ringfence.all

test_delete_is_denied if count(all.deny) == 1 with input as {"request": {"method": "DELETE"}}
`

// A studioOffice is an office in which policies are written.
type studioOffice struct {
	*office
	changes *changetest.Memory
}

func newStudioOffice(t *testing.T) *studioOffice {
	t.Helper()
	o := &studioOffice{office: newOffice(t, plainText)}
	o.changes = changetest.New(o.dir.d.Accounts, map[string]string{"all/no_delete.rego": noDelete, "all/no_delete_test.rego": noDeleteTest})
	o.changes.Now = func() time.Time { return o.now }
	o.Changes, o.Studio = o.changes, studio.New(studio.Config{})
	o.UI = markedRenderer(t, func() []string {
		return append(o.data(), "Nobody deletes", "Because of the audit", "all/no_delete.rego", "all/no_delete_test.rego", "all/office_hours.rego", "clusters/claims/office_hours_test.rego", "claims", "maps", "payroll", "Deletes & <b>more</b>")
	})
	return o
}

func (o *studioOffice) actor(id string) directory.Actor {
	return directory.Actor{Account: id, Email: id + "@example.com"}
}

// draft begins a draft by ada.
func (o *studioOffice) draft() change.Draft {
	o.t.Helper()
	d, err := o.changes.Begin(o.t.Context(), o.actor("ada"), "Nobody deletes", "Because of the audit")
	if err != nil {
		o.t.Fatal(err)
	}
	return d
}

func (o *studioOffice) kept(id int64) change.Draft {
	o.t.Helper()
	d, err := o.changes.Draft(o.t.Context(), id)
	if err != nil {
		o.t.Fatal(err)
	}
	return d
}

// formOf returns the fields of the page's form, as a browser would post them.
func formOf(t *testing.T, page, name string) url.Values {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for f := range elements(root, "form") {
		values := url.Values{}
		for e := range elements(f, "") {
			switch e.Data {
			case "input":
				values.Set(attr(e, "name"), attr(e, "value"))
			case "textarea":
				values.Set(attr(e, "name"), strings.ReplaceAll(rawText(e), "\n", "\r\n"))
			}
		}
		if values.Has(name) {
			return values
		}
	}
	t.Fatalf("no form with %s:\n%s", name, page)
	return nil
}

func rawText(n *html.Node) string {
	var b strings.Builder
	for c := range n.ChildNodes() {
		b.WriteString(c.Data)
	}
	return b.String()
}

func (o *studioOffice) post(id, target string, form url.Values, headers ...string) (status int, body, location string) {
	o.t.Helper()
	w := o.do(id, http.MethodPost, target, form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}, headers...)...)
	return w.Code, w.Body.String(), w.Header().Get("Location")
}

// Without any script: begin, write, check, format, save, add, rename and delete.
func TestEditor_WithoutScripts(t *testing.T) {
	o := newStudioOffice(t)
	status, _, to := o.post("ada", "/console/policies/new", url.Values{"title": {"Nobody deletes"}, "reason": {"Because of the audit"}})
	if status != http.StatusSeeOther || to != "/console/policies/drafts/1/edit" {
		t.Fatalf("begun with %d to %s", status, to)
	}
	page := o.get("ada", to)
	shows(t, page, 200, "all/no_delete.rego", "Nothing is deleted here", "It holds what is in force now")
	form := formOf(t, page.Body.String(), "text")
	if form.Get("text") != strings.ReplaceAll(noDelete, "\n", "\r\n") {
		t.Errorf("the area holds %q", form.Get("text"))
	}

	// A misspelt field is found, and nothing is saved by looking.
	typed := strings.Replace(noDelete, "input.request.method", "input.request.methd", 1)
	form.Set("text", strings.ReplaceAll(typed, "\n", "\r\n"))
	form.Set("do", "check")
	status, body, _ := o.post("ada", to, form)
	if status != 200 || !strings.Contains(body, "1 error") || !strings.Contains(body, "all/no_delete.rego:10") || !strings.Contains(body, `data-unsaved="yes"`) || !strings.Contains(body, "input.request.methd") {
		t.Errorf("status %d:\n%s", status, body)
	}
	// A change that a test notices.
	form.Set("text", strings.Replace(noDelete, `"DELETE"`, `"PUT"`, 1))
	if _, body, _ := o.post("ada", to, form); !strings.Contains(body, "1 test failed.") || !strings.Contains(body, "all/no_delete_test.rego:7") {
		t.Errorf("no failure:\n%s", body)
	}
	form.Set("text", noDelete+"\ndeny contains {\"code\": \"no_trace\", \"message\": \"No TRACE is answered here.\", \"help\": \"Use GET.\"} if input.request.method == \"TRACE\"\n")
	if _, body, _ = o.post("ada", to, form); !strings.Contains(body, "1 test passed.") || !strings.Contains(body, "No test reaches 13.") {
		t.Errorf("no coverage:\n%s", body)
	}
	if o.kept(1).Version != 1 {
		t.Fatal("a check saved something")
	}

	form.Set("do", "format")
	form.Set("text", "package   ringfence.all\nimport rego.v2\nallow   if input.request.method==\"GET\"")
	if _, body, _ = o.post("ada", to, form); !strings.Contains(body, "allow if input.request.method == &#34;GET&#34;") {
		t.Errorf("not formatted:\n%s", body)
	}
	form.Set("text", "package ringfence.all\nallow if {")
	if _, body, _ = o.post("ada", to, form); !strings.Contains(body, "cannot be laid out") || !strings.Contains(body, "allow if {") {
		t.Errorf("formatted all the same:\n%s", body)
	}

	form.Set("do", "save")
	form.Set("text", strings.ReplaceAll(typed, "\n", "\r\n"))
	status, _, to = o.post("ada", to, form)
	if d := o.kept(1); status != http.StatusSeeOther || d.Version != 2 || d.Modules["all/no_delete.rego"] != typed {
		t.Fatalf("saved with %d: version %d", status, d.Version)
	}
	shows(t, o.get("ada", to), 200, "is saved in the draft")

	seen := url.Values{"seen": {"2"}, "cluster": {"claims"}, "name": {"office_hours"}, "kind": {"tests"}}
	status, _, to = o.post("ada", "/console/policies/drafts/1/edit/add", seen)
	if d := o.kept(1); status != http.StatusSeeOther || d.Modules["clusters/claims/office_hours_test.rego"] != "package ringfence.clusters[\"claims_test\"]\n\nimport rego.v2\n" {
		t.Fatalf("added with %d: %v", status, slices.Sorted(maps.Keys(d.Modules)))
	}
	shows(t, o.get("ada", to), 200, "clusters/claims/office_hours_test.rego")
	seen = url.Values{"seen": {"3"}, "cluster": {""}, "name": {"office_hours.rego"}, "kind": {"policy"}}
	rename := "/console/policies/drafts/1/edit/rename?file=clusters%2Fclaims%2Foffice_hours_test.rego"
	shows(t, o.get("ada", rename), 200, "The line with the package follows the name.")
	o.post("ada", rename, seen)
	if d := o.kept(1); d.Modules["all/office_hours.rego"] != "package ringfence.all\n\nimport rego.v2\n" || len(d.Modules) != 3 {
		t.Fatalf("renamed: %v", d.Modules)
	}
	ask := o.get("ada", "/console/policies/drafts/1/edit/delete?file=all%2Foffice_hours.rego")
	shows(t, ask, 200, "Delete all/office_hours.rego from the draft?")
	o.post("ada", "/console/policies/drafts/1/edit/delete?file=all%2Foffice_hours.rego&seen=4", nil)
	if d := o.kept(1); len(d.Modules) != 2 {
		t.Fatalf("deleted: %v", d.Modules)
	}
	about := o.get("ada", "/console/policies/drafts/1/edit/about")
	shows(t, about, 200, "Because of the audit")
	o.post("ada", "/console/policies/drafts/1/edit/about", url.Values{"seen": {"5"}, "title": {"Deletes & <b>more</b>"}, "reason": {"Because of the audit\r\nof March."}})
	if d := o.kept(1); d.Title != "Deletes & <b>more</b>" || d.Reason != "Because of the audit\nof March." {
		t.Fatalf("%q: %q", d.Title, d.Reason)
	}
}

// What people type into the forms is checked beside the fields.
func TestEditor_Faults(t *testing.T) {
	o := newStudioOffice(t)
	d := o.draft()
	at := editorURL(d.ID, "")
	for name, c := range map[string]struct {
		target string
		form   url.Values
		says   string
	}{
		"no reason":         {"/console/policies/new", url.Values{"title": {"x"}, "reason": {" "}}, "Say why, in a sentence"},
		"no title":          {at + "/about", url.Values{"title": {""}, "reason": {"x"}, "seen": {"1"}}, "Give a title."},
		"taken":             {at + "/add", url.Values{"name": {"no_delete"}, "kind": {"policy"}, "cluster": {""}, "seen": {"1"}}, "already"},
		"taken by tests":    {at + "/add", url.Values{"name": {"no_delete_test"}, "kind": {"policy"}, "cluster": {""}, "seen": {"1"}}, "already"},
		"a path":            {at + "/add", url.Values{"name": {"../x"}, "kind": {"policy"}, "cluster": {""}, "seen": {"1"}}, "A name has small letters"},
		"no such cluster":   {at + "/add", url.Values{"name": {"x"}, "kind": {"policy"}, "cluster": {"nowhere"}, "seen": {"1"}}, "is not among the choices"},
		"no such kind":      {at + "/add", url.Values{"name": {"x"}, "kind": {"json"}, "cluster": {""}, "seen": {"1"}}, "is not among the choices"},
		"turned text":       {at, url.Values{"file": {"all/no_delete.rego"}, "seen": {"1"}, "text": {"a\nb\u202ec"}, "do": {"save"}}, "Line 2 holds a character that cannot be seen"},
		"no width":          {at, url.Values{"file": {"all/no_delete.rego"}, "seen": {"1"}, "text": {"a\u200bb"}, "do": {"check"}}, "Line 1 holds a character that cannot be seen"},
		"another's version": {at + "/add", url.Values{"name": {"x"}, "kind": {"policy"}, "cluster": {""}, "seen": {"7"}}, "Somebody else saved the draft in the meantime"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body, _ := o.post("ada", c.target, c.form)
			if status != http.StatusUnprocessableEntity || !strings.Contains(body, c.says) {
				t.Errorf("status %d:\n%s", status, body)
			}
		})
	}
	if got := o.kept(d.ID); got.Version != 1 {
		t.Errorf("version %d", got.Version)
	}
	for _, bad := range []string{"/console/policies/drafts/99/edit", "/console/policies/drafts/x/edit", at + "?file=all%2Fother.rego", at + "/rename?file=..%2Fetc", at + "/delete"} {
		shows(t, o.get("ada", bad), http.StatusNotFound)
	}
	if status, _, _ := o.post("ada", at, url.Values{"file": {"all/no_delete.rego"}, "text": {"x"}, "do": {"save"}}); status != http.StatusBadRequest {
		t.Errorf("a form without a version: %d", status)
	}
	if status, _, _ := o.post("ada", at, url.Values{"file": {"elsewhere/x.rego"}, "seen": {"1"}, "text": {"x"}, "do": {"save"}}); status != http.StatusNotFound {
		t.Errorf("a file elsewhere: %d", status)
	}
}

// Two people edit one draft: the second is told, sees the difference, and
// loses nothing.
func TestEditor_Conflict(t *testing.T) {
	o := newStudioOffice(t)
	o.signIn("bea")
	d := o.draft()
	at := editorURL(d.ID, "")
	adas, beas := formOf(t, o.get("ada", at).Body.String(), "text"), formOf(t, o.get("bea", at).Body.String(), "text")
	beas.Set("text", noDelete+"\n# bea was here\n")
	beas.Set("do", "save")
	if status, _, _ := o.post("bea", at, beas); status != http.StatusSeeOther {
		t.Fatalf("bea: %d", status)
	}
	adas.Set("text", noDelete+"\n# ada was here\n")
	adas.Set("do", "save")
	if status, body, _ := o.post("ada", at, adas, "Accept", "application/json"); status != http.StatusConflict || !strings.Contains(body, `"conflict"`) {
		t.Errorf("in JSON: %d %s", status, body)
	}
	status, body, _ := o.post("ada", at, adas)
	if status != http.StatusConflict {
		t.Fatalf("ada: %d", status)
	}
	page, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(textOf(page)), " ")
	for _, want := range []string{"Somebody was faster", "bea@example.com", "removed: # bea was here", "added: # ada was here"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	if now := o.kept(d.ID); !strings.Contains(now.Modules["all/no_delete.rego"], "bea was here") {
		t.Error("bea's text is gone")
	}

	// To go on keeps ada's text, upon bea's version.
	again := formOf(t, body, "text")
	again.Set("do", "edit")
	status, body, _ = o.post("ada", at, again)
	again = formOf(t, body, "text")
	if status != 200 || !strings.Contains(again.Get("text"), "ada was here") || again.Get("seen") != "2" || !strings.Contains(body, `data-unsaved="yes"`) {
		t.Fatalf("status %d, version %s", status, again.Get("seen"))
	}
	again.Set("do", "save")
	if status, _, _ = o.post("ada", at, again); status != http.StatusSeeOther {
		t.Fatalf("saved over it with %d", status)
	}
	if now := o.kept(d.ID); !strings.Contains(now.Modules["all/no_delete.rego"], "ada was here") || len(now.Authors) != 2 {
		t.Errorf("the draft is %+v", now)
	}

	// Another file was changed: the page says that this one was not.
	stale := maps.Clone(adas)
	stale.Set("file", "all/no_delete_test.rego")
	stale.Set("text", noDeleteTest+"\n# more\n")
	stale.Set("was", textName(noDeleteTest))
	if status, body, _ = o.post("ada", at, stale); status != http.StatusConflict || !strings.Contains(body, "Nobody else changed") {
		t.Errorf("status %d:\n%s", status, body)
	}

	// The file was deleted by somebody else.
	o.post("bea", at+"/delete?"+url.Values{"file": {"all/no_delete_test.rego"}, "seen": {"3"}}.Encode(), nil)
	if status, body, _ = o.post("ada", at, stale); status != http.StatusConflict || !strings.Contains(body, "The file is gone") {
		t.Errorf("status %d:\n%s", status, body)
	}
	back := formOf(t, body, "text")
	back.Set("do", "save")
	if status, _, _ = o.post("ada", at, back); status != http.StatusSeeOther || o.kept(d.ID).Modules["all/no_delete_test.rego"] == "" {
		t.Errorf("put back with %d", status)
	}
}

// What was handed to review goes back to its authors with a change, and what
// has come to its end takes none.
func TestEditor_States(t *testing.T) {
	o := newStudioOffice(t)
	d := o.draft()
	at := editorURL(d.ID, "")
	form := formOf(t, o.get("ada", at).Body.String(), "text")
	form.Set("text", noDelete+"\n# more\n")
	form.Set("do", "save")
	o.post("ada", at, form)
	if _, err := o.changes.Submit(t.Context(), o.actor("ada"), d.ID, 2); err != nil {
		t.Fatal(err)
	}
	page := o.get("ada", at)
	shows(t, page, 200, "This draft is in review.")
	form = formOf(t, page.Body.String(), "text")
	form.Set("text", noDelete+"\n# even more\n")
	form.Set("do", "save")
	o.post("ada", at, form)
	if now := o.kept(d.ID); now.State != change.Open || now.Version != 3 {
		t.Errorf("the draft is %s at %d", now.State, now.Version)
	}
	if err := o.changes.Withdraw(t.Context(), o.actor("ada"), d.ID, 3); err != nil {
		t.Fatal(err)
	}
	page = o.get("ada", at)
	shows(t, page, 200, "This draft was withdrawn.", "readonly")
	if strings.Contains(page.Body.String(), `value="save"`) || strings.Contains(page.Body.String(), "/edit/delete") {
		t.Error("what cannot be done is drawn")
	}
	form.Set("seen", strconv.Itoa(o.kept(d.ID).Version))
	form.Set("text", noDelete+"\n# too late\n")
	if status, body, _ := o.post("ada", at, form); status != http.StatusConflict || !strings.Contains(body, "Begin another one") {
		t.Errorf("saved with %d:\n%s", status, body)
	}
	for _, target := range []string{"/about", "/add", "/rename?file=all%2Fno_delete.rego", "/delete?file=all%2Fno_delete.rego"} {
		shows(t, o.get("ada", at+target), http.StatusConflict, "No longer open")
	}
	o.changes.SetOrigin(change.Origin{Kind: "folder", Place: "/etc/ringfence/policies"})
	shows(t, o.get("ada", "/console/policies/new"), http.StatusConflict, "come from a folder or a bundle")
	if status, _, _ := o.post("ada", "/console/policies/new", url.Values{"title": {"x"}, "reason": {"y"}}); status != http.StatusConflict {
		t.Errorf("begun with %d", status)
	}
}

// The editor asks as one types, in JSON.
func TestEditor_Check(t *testing.T) {
	o := newStudioOffice(t)
	d := o.draft()
	ask := func(who string, body any) (int, draftResult) {
		t.Helper()
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		w := o.do(who, http.MethodPost, draftURL(d.ID)+"/check", string(b), "Content-Type", "application/json", "Accept", "application/json")
		var out draftResult
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		return w.Code, out
	}
	type typed map[string]any
	status, got := ask("ada", typed{"file": "all/no_delete.rego", "text": strings.Replace(noDelete, "methd", "", 1)})
	if status != 200 || got.Errors != 0 || got.Tests != 0 || got.Coverage != nil {
		t.Errorf("%d %+v", status, got)
	}
	_, got = ask("ada", typed{"file": "all/no_delete.rego", "text": strings.Replace(noDelete, "request.method", "request.methd", 1)})
	if got.Errors != 1 || got.Diagnostics[0].Line != 10 || got.Diagnostics[0].Column != 2 || got.Diagnostics[0].Severity != "error" || !strings.Contains(got.Diagnostics[0].Message, "method") {
		t.Errorf("%+v", got)
	}
	_, got = ask("ada", typed{"file": "all/no_delete.rego", "text": strings.Replace(noDelete, "Nothing is deleted here.", "No", 1)})
	if got.Errors != 0 || got.Warnings != 1 || got.Diagnostics[0].Code != "lint_reason_without_sentence" {
		t.Errorf("%+v", got)
	}
	_, got = ask("ada", typed{"file": "all/no_delete.rego", "text": noDelete, "tests": true})
	if got.Tests != 1 || got.Failed != 0 || got.Coverage == nil || got.Coverage.Percent != 100 || !slices.Contains(got.Coverage.Covered, 10) {
		t.Errorf("%+v", got)
	}
	// A fault in another file is named with it.
	_, got = ask("ada", typed{"file": "all/no_delete.rego", "text": strings.Replace(noDelete, `"DELETE"`, `"PUT"`, 1), "tests": true})
	if got.Failed != 1 || got.Errors != 1 || got.Diagnostics[0].File != "all/no_delete_test.rego" || got.Diagnostics[0].Line != 7 {
		t.Errorf("%+v", got)
	}
	if status, _ := ask("abe", typed{"file": "all/no_delete.rego", "text": noDelete}); status != http.StatusForbidden {
		t.Errorf("an approver: %d", status)
	}
	if status, _ := ask("ada", typed{"file": "../x", "text": noDelete}); status != http.StatusBadRequest {
		t.Errorf("a file elsewhere: %d", status)
	}
	if status, _ := ask("ada", typed{"file": "all/no_delete.rego", "text": strings.Repeat("x", maxModule+1)}); status != http.StatusBadRequest {
		t.Errorf("too much: %d", status)
	}
}

// Every name of the contract has words, and the pages say all that is forbidden.
func TestContract_EveryNameHasWords(t *testing.T) {
	for _, f := range offered().Fields {
		if contractFields[f.Path] == "" {
			t.Errorf("%s: no words; add them to contractFields", f.Path)
		}
	}
	for path := range contractValues {
		if contractFields[path] == "" {
			t.Errorf("%s is no field", path)
		}
	}
	for _, f := range offered().Forbidden {
		if forbiddenWhy[string(f.Why)] == "" {
			t.Errorf("%s: no words for %q", f.Name, f.Why)
		}
	}
	o := newStudioOffice(t)
	for _, who := range []string{"ada", "abe", "rae"} {
		contract, forbidden := o.get(who, "/console/policies/contract"), o.get(who, "/console/policies/forbidden")
		shows(t, contract, 200, "input.facts.agreements[].accepted_version", "max_response_bytes", "code_stale", "startswith", "Returns true if the search string begins")
		shows(t, forbidden, 200, "http.send", "It would reach other machines.", "opa.runtime", "A file without import rego.v2.")
	}
}
