package console

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// memoryAgreements keeps every version that it has seen in a directory, and
// what is accepted there.
type memoryAgreements struct {
	snapshot func() *directory.Snapshot
	old      []directory.AgreementVersion
	kept     []directory.Evidence
	stated   []Stated
	fail     error
}

func (m *memoryAgreements) Versions(_ context.Context, name string) ([]directory.AgreementVersion, error) {
	all := slices.Clone(m.old)
	for _, a := range m.snapshot().Directory().Agreements {
		all = append(all, directory.AgreementVersion{Agreement: a.Name, Version: a.Version, Title: a.Title, Text: a.Text, Hash: directory.TextHash(a.Text), Author: "ada", Created: sampleNow})
	}
	all = slices.DeleteFunc(all, func(v directory.AgreementVersion) bool { return v.Agreement != name })
	slices.SortFunc(all, func(a, b directory.AgreementVersion) int { return b.Version - a.Version })
	return all, m.fail
}

func (m *memoryAgreements) Acceptances(_ context.Context, agreement, account string) ([]directory.Evidence, error) {
	all := slices.Clone(m.kept)
	for _, a := range m.snapshot().Directory().Accounts {
		for _, x := range m.snapshot().AcceptancesOf(a.ID) {
			all = append(all, directory.Evidence{Acceptance: x, Email: a.Email, Name: a.Name, Vendor: a.Vendor})
		}
	}
	return slices.DeleteFunc(all, func(e directory.Evidence) bool {
		return agreement != "" && e.Agreement != agreement || account != "" && e.Account != account
	}), m.fail
}

func (m *memoryAgreements) Statement(ctx context.Context, _ directory.Actor, about Stated) ([]byte, error) {
	kept, err := m.Acceptances(ctx, about.Agreement, about.Account)
	if err == nil && len(kept) == 0 {
		err = ErrNothingStated
	}
	m.stated = append(m.stated, about)
	return []byte("statement of " + about.Agreement + "\n"), err
}

// due makes the agreement in force a new version, so that kim has to accept it.
func (w *world) due(text string) {
	w.dir.mu.Lock()
	defer w.dir.mu.Unlock()
	g := &w.dir.d.Agreements[0]
	g.Version, g.Text = g.Version+1, text
}

// TestAgreement_AcceptedBehindAFreshCode: with an old code the text is not even
// shown; after a fresh one the acceptance says everything, and leads on.
func TestAgreement_AcceptedBehindAFreshCode(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim")
	w.pass(freshFor + time.Minute)
	w.due("# New\n\nKeep it secret.\n")
	b.visit(gateURL+"/agreements").has(http.StatusOK, "Confirm that it is you")
	b.submit(map[string]string{"code": w.code("kim")}).has(http.StatusOK, "Keep it secret.", "version 3", "has changed since you accepted version 2")
	w.pass(freshFor + time.Minute) // the reading took long
	b.submit(map[string]string{"name": "Kim Larsen", "accept": "yes"}).has(http.StatusOK, "Confirm that it is you")
	if len(w.dir.evidence) != 0 {
		t.Fatal("it was accepted with an old code")
	}
	b.submit(map[string]string{"code": w.code("kim")}).has(http.StatusOK, "Keep it secret.")
	for typed, want := range map[string]string{"": "Type your name, as you would sign.", "Somebody Else": "That is not the name of your account."} {
		b.submit(map[string]string{"name": typed, "accept": "yes"}).has(http.StatusUnprocessableEntity, want)
	}
	b.submit(map[string]string{"name": "  ｋｉｍ   LARSEN "}).has(http.StatusUnprocessableEntity, "Tick the box")
	b.submit(map[string]string{"name": "  ｋｉｍ   LARSEN ", "accept": "yes"}).has(http.StatusOK, "My clusters")
	if len(w.dir.evidence) != 1 {
		t.Fatalf("%d acceptances", len(w.dir.evidence))
	}
	e := w.dir.evidence[0]
	if e.Account != "kim" || e.Agreement != "nda" || e.Version != 3 || e.Hash != directory.TextHash("# New\n\nKeep it secret.\n") || e.TypedName != "ｋｉｍ   LARSEN" ||
		e.IP != "198.51.100.24" || e.Session == "" || e.Factor != policy.FactorTOTP || !e.CodeAt.Equal(w.clock()) {
		t.Errorf("kept %+v", e)
	}
}

// TestAgreement_ChangedWhileReading: nobody accepts what was not shown. The
// form names the version and the hash of what was read; when either is no
// longer in force, the new text is shown and nothing is accepted.
func TestAgreement_ChangedWhileReading(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim")
	w.due("First text.\n")
	b.visit(gateURL+"/agreements").has(http.StatusOK, "First text.")
	w.due("Second text.\n")
	b.submit(map[string]string{"name": "Kim Larsen", "accept": "yes"}).has(http.StatusConflict, "has changed while you were reading", "Second text.", "version 4")
	// The text can be another one under the same version where it was put back from a backup.
	w.dir.mu.Lock()
	w.dir.d.Agreements[0].Text = "Third text.\n"
	w.dir.mu.Unlock()
	b.submit(map[string]string{"name": "Kim Larsen", "accept": "yes"}).has(http.StatusConflict, "has changed while you were reading", "Third text.")
	// And the store may know of a change before the page does.
	w.dir.fail = directory.ErrNotInForce
	b.submit(map[string]string{"name": "Kim Larsen", "accept": "yes"}).has(http.StatusConflict, "has changed while you were reading")
	w.dir.fail = directory.ErrTypedName
	b.submit(map[string]string{"name": "Kim Larsen", "accept": "yes"}).has(http.StatusUnprocessableEntity, "This name cannot be taken")
	w.dir.fail = directory.ErrNotAllowed
	b.submit(map[string]string{"name": "Kim Larsen", "accept": "yes"}).has(http.StatusForbidden, "not in force")
	if len(w.dir.evidence) != 0 {
		t.Errorf("accepted %+v", w.dir.evidence)
	}
}

// TestAgreement_OwnStatements: contractors read and download what they
// accepted, and nobody else's.
func TestAgreement_OwnStatements(t *testing.T) {
	w := newWorld(t).enrolled("kim", "lee")
	b := w.browser()
	b.signIn("kim")
	b.visit(gateURL+"/agreements").has(http.StatusOK, "You have accepted everything", "Download")
	b.visit("/agreements/nda/2").has(http.StatusOK, "You accepted version 2", "Download the signed statement")
	b.visit("/agreements/nda/2/statement.txt").has(http.StatusOK, "statement of nda")
	if got := w.Console.Agreements.(*memoryAgreements).stated; len(got) != 1 || got[0] != (Stated{Agreement: "nda", Account: "kim", Version: 2}) {
		t.Errorf("stated %+v", got)
	}
	for _, path := range []string{"/agreements/nda/1", "/agreements/nda/1/statement.txt", "/agreements/other/2/statement.txt"} {
		b.visit(path).has(http.StatusNotFound)
	}
	other := w.browser()
	other.signIn("lee")
	other.visit(gateURL + "/agreements/nda/2/statement.txt").has(http.StatusNotFound)
}

// TestAgreements_WrittenAndChanged walks an administrator through a new
// agreement, its preview, a new version, the demand and the removal.
func TestAgreements_WrittenAndChanged(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("ada", "/console/agreements"), 200, "Non-disclosure agreement", "Claims migration 2026", "Write an agreement")
	shows(t, o.get("rae", "/console/agreements"), 200, "Non-disclosure agreement")
	if strings.Contains(o.get("rae", "/console/agreements").Body.String(), "Write an agreement") {
		t.Error("a reviewer is shown how to write one")
	}
	new := map[string][]string{"name": {"data-access"}, "title": {"Data access"}, "text": {"# Rules\r\n\r\nRead **nothing** <script>alert(1)</script> else.\r\n"}}
	preview := o.post("ada", "/console/agreements/new", with2(new, "preview", "yes"))
	shows(t, preview, 200, "Preview", "<strong>nothing</strong>", "Nothing is saved yet")
	if strings.Contains(preview.Body.String(), "<script>alert") {
		t.Error("the preview runs scripts")
	}
	if find(o.dir.d.Agreements, agreementNamed("data-access")) != nil {
		t.Fatal("the preview was saved")
	}
	shows(t, o.post("ada", "/console/agreements/new", with2(new, "text", " \r\n")), 422, "Write the text")
	shows(t, o.post("ada", "/console/agreements/new", with2(new, "text", "a\u202eb")), 422, "cannot be seen")
	shows(t, o.post("ada", "/console/agreements/new", with2(new, "name", "nda")), 422, "taken")
	if rec := o.post("ada", "/console/agreements/new", new); rec.Code != http.StatusSeeOther {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	got := find(o.dir.d.Agreements, agreementNamed("data-access"))
	if got == nil || got.Version != 1 || got.Text != "# Rules\n\nRead **nothing** <script>alert(1)</script> else.\n" {
		t.Fatalf("kept %+v", got)
	}
	shows(t, o.get("ada", "/console/agreements/data-access"), 200, "Version 1 is in force", "no engagement", "Nobody has accepted it yet")

	// A title alone asks nobody again; another text does.
	edit := map[string][]string{"title": {"Data access rules"}, "text": new["text"], "seen": {o.state("/console/agreements/data-access/edit")}}
	o.post("ada", "/console/agreements/data-access/edit", edit)
	if got = find(o.dir.d.Agreements, agreementNamed("data-access")); got.Version != 1 || got.Title != "Data access rules" {
		t.Errorf("kept %+v", got)
	}
	shows(t, o.post("ada", "/console/agreements/data-access/edit", edit), 422, "Somebody else changed this")
	edit["seen"], edit["text"] = []string{o.state("/console/agreements/data-access/edit")}, []string{"# Rules\n\nRead everything.\n"}
	shows(t, o.post("ada", "/console/agreements/data-access/edit", with2(edit, "preview", "yes")), 200, "Put version 2 in force", "What changes from version 1", "added: ", "Read everything.")
	o.post("ada", "/console/agreements/data-access/edit", edit)
	if got = find(o.dir.d.Agreements, agreementNamed("data-access")); got.Version != 2 || got.Text != "# Rules\n\nRead everything.\n" {
		t.Errorf("kept %+v", got)
	}

	// What is demanded stays.
	shows(t, o.get("ada", "/console/agreements/nda/remove"), 409, "demanded by", "Claims migration 2026 and Payroll audit")
	shows(t, o.post("ada", "/console/agreements/nda/remove", nil), 409, "demanded by")
	shows(t, o.get("ada", "/console/agreements/data-access/remove"), 200, "Remove Data access rules?")
	o.post("ada", "/console/agreements/data-access/remove", nil)
	if find(o.dir.d.Agreements, agreementNamed("data-access")) != nil {
		t.Error("it is still there")
	}
}

// with2 returns a copy of a form with one field replaced.
func with2(form map[string][]string, name, value string) map[string][]string {
	out := map[string][]string{}
	for k, v := range form {
		out[k] = v
	}
	out[name] = []string{value}
	return out
}

// TestAgreements_Dangerous: writing, changing and removing ask for a fresh code.
func TestAgreements_Dangerous(t *testing.T) {
	w := newWorld(t).enrolled("ada")
	b := w.browser()
	b.signIn("ada")
	w.pass(freshFor + time.Minute)
	for _, path := range []string{"/console/agreements/new", "/console/agreements/nda/edit", "/console/agreements/nda/remove"} {
		b.visit(gateURL+path).has(http.StatusOK, "Confirm that it is you")
	}
}

// TestAgreements_Record shows versions, acceptances and who is missing.
func TestAgreements_Record(t *testing.T) {
	o := newOffice(t, plainText)
	fake := o.Console.Agreements.(*memoryAgreements)
	fake.old = []directory.AgreementVersion{{Agreement: "nda", Version: 1, Title: "NDA", Text: "Old line.\n\nKept.\n", Hash: directory.TextHash("Old line.\n\nKept.\n"), Author: directory.Operator, Created: sampleNow.Add(-1000 * time.Hour)}}
	fake.kept = []directory.Evidence{{Acceptance: directory.Acceptance{Account: "gone", Agreement: "nda", Version: 1, At: sampleNow.Add(-900 * time.Hour), IP: "203.0.113.7", TypedName: "Gus Gone"}, Email: "gus@example.com", Name: "Gus Gone"}}
	shows(t, o.get("rae", "/console/agreements/nda"), 200, "Version 2 is in force", "Kim Larsen", "Gus Gone", "203.0.113.7", "/console/agreements/nda/versions/1", "the operator",
		"/console/agreements/nda/statement.txt?account=gone&amp;version=1", "Oma Petrov")
	shows(t, o.get("rae", "/console/agreements/nda/versions/2"), 200, "What changed since version 1", "Old line.", "removed: ")
	shows(t, o.get("rae", "/console/agreements/nda/versions/1"), 200, "No longer in force")
	shows(t, o.get("rae", "/console/agreements/nda/versions/9"), 404)
	shows(t, o.get("rae", "/console/agreements/none"), 404)
	rec := o.get("rae", "/console/agreements/nda/statement.txt?account=gone&version=1")
	shows(t, rec, 200, "statement of nda")
	if d := rec.Header().Get("Content-Disposition"); d != `attachment; filename="statement-nda-gone.txt"` || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("sent with %v", rec.Header())
	}
	shows(t, o.get("rae", "/console/agreements/nda/statement.txt?account=nobody"), 404, "Nobody has accepted this yet")
	shows(t, o.get("rae", "/console/agreements/nda/statement.txt?version=x"), 422)
}
