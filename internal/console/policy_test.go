package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/change/changetest"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// seenBy returns what the form of an act on a draft's page says was seen, empty
// where the page has no such form.
func seenBy(page *httptest.ResponseRecorder, act string) string {
	m := regexp.MustCompile(`action="[^"]*/` + act + `"><input type="hidden" name="seen" value="([^"]*)"`).FindStringSubmatch(page.Body.String())
	if m == nil {
		return ""
	}
	return m[1]
}

func draftPath(id int64, act string) string {
	return strings.TrimSuffix(policyDraftURL(id)+"/"+act, "/")
}

// give gives an account of the office further roles.
func (o *office) give(id string, roles ...policy.Role) {
	o.t.Helper()
	a := find(o.dir.d.Accounts, accountWithID(id))
	a.Roles = append(slices.Clone(a.Roles), roles...)
	row, err := o.store.Account(o.t.Context(), id)
	if err != nil {
		o.t.Fatal(err)
	}
	row.Roles = a.Roles
	o.store.SetAccount(row)
	if err := o.Auth.Reload(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) newest() int64 {
	o.t.Helper()
	all, err := o.changes.Revisions(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return newestOf(all)
}

// Whoever cannot be the second person is told why, and who could be; and
// nothing is published, whatever they post.
func TestPolicies_SecondPersonInWords(t *testing.T) {
	for name, c := range map[string]struct {
		who   string
		set   func(*office)
		words []string
	}{
		"an author": {"ada", func(o *office) { o.give("ada", policy.Approver) }, []string{"You wrote a part of this draft", "The second person could be <a>Abe Novak"}},
		"invited by an author": {"abe", func(o *office) {
			o.changes.Touch("abe", change.Person{Account: "ada", Email: "ada@example.com", At: o.now.Add(-24 * time.Hour)})
			o.give("rae", policy.Approver)
		}, []string{"Ada Brandt, who is an author of this draft, made or changed your account", "The second person could be <a>Rae Castillo"}},
		"who invited an author": {"abe", func(o *office) {
			o.changes.Touch("ada", change.Person{Account: "abe", Email: "abe@example.com", At: o.now.Add(-24 * time.Hour)})
		}, []string{"You made or changed the account or the sign-in of Ada Brandt", "None of the approvers could be the second person"}},
		"both invited by a third": {"abe", func(o *office) {
			for _, id := range []string{"ada", "abe"} {
				o.changes.Touch(id, change.Person{Account: "bea", Email: "bea@example.com", At: o.now.Add(-24 * time.Hour)})
			}
			o.give("rae", policy.Approver)
			o.give("bea", policy.Approver)
		}, []string{"Bea Lindqvist made or changed the sign-in of an author of this draft and yours", "The second person could be <a>Rae Castillo"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, plainText)
			seal := seenBy(o.get("abe", draftPath(draftReview, "")), "approve")
			if seal == "" {
				t.Fatal("the page has no form to approve it")
			}
			c.set(o)
			page := o.get(c.who, draftPath(draftReview, ""))
			posted := o.post(c.who, draftPath(draftReview, "approve"), url.Values{"seen": {seal}})
			for _, words := range c.words {
				words = strings.ReplaceAll(words, "<a>", "")
				shows(t, page, http.StatusOK, words)
				shows(t, posted, http.StatusConflict, words)
			}
			if seenBy(page, "approve") != "" || seenBy(posted, "approve") != "" {
				t.Error("approving is offered all the same")
			}
			if o.newest() != 4 {
				t.Error("a revision was published")
			}
		})
	}
}

// TestPolicies_EveryLineCanBeRead: where a page shows a part of a long change, it
// says so and leads whoever approves to all of it.
func TestPolicies_EveryLineCanBeRead(t *testing.T) {
	o := newOffice(t, plainText)
	d, err := o.changes.Draft(t.Context(), draftReview)
	if err != nil {
		t.Fatal(err)
	}
	text := "package ringfence.all\n" + strings.Repeat("# nothing to see\n", linesShown) + "# <b>the last line</b>\n"
	if _, err := o.changes.Save(t.Context(), directory.Actor{Account: "ada", Email: "ada@example.com"}, d.ID, d.Version, change.Edit{Write: map[string]string{"all/long.rego": text}}); err != nil {
		t.Fatal(err)
	}
	whole := draftPath(draftReview, "text?file=all%2Flong.rego")
	shows(t, o.get("abe", draftPath(draftReview, "")), http.StatusOK, "2 further lines are not shown.", `href="`+whole+`"`, "Not every line that changes stands on this page")
	w := o.get("abe", whole)
	if w.Code != http.StatusOK || w.Body.String() != text || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("status %d, %d bytes, %v", w.Code, w.Body.Len(), w.Header())
	}
	for _, path := range []string{draftPath(draftReview, "text?file=all%2Fnone.rego"), draftPath(draftReview, "text"), "/console/policies/drafts/97/text?file=all%2Flong.rego"} {
		if w := o.get("abe", path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	if w := o.get("kim", whole); w.Code != http.StatusForbidden {
		t.Errorf("a contractor reads a draft: %d", w.Code)
	}
}

// Nobody approves what they have not read: whatever changed since the page was
// made, its form publishes nothing and the page is shown as it is now.
func TestPolicies_SeenIsApproved(t *testing.T) {
	title, reason := "Close some exports", "Because."
	for name, e := range map[string]change.Edit{
		"a module": {Write: map[string]string{"clusters/claims/exports.rego": noExports + "# more\n"}},
		"a title":  {Title: &title}, "a reason": {Reason: &reason},
		"a file removed": {Remove: []string{"clusters/claims/exports.rego"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, plainText)
			seal := seenBy(o.get("abe", draftPath(draftReview, "")), "approve")
			d, err := o.changes.Memory.Draft(t.Context(), draftReview)
			if err != nil {
				t.Fatal(err)
			}
			if d, err = o.changes.Save(t.Context(), officeActor("ada"), d.ID, d.Version, e); err != nil {
				t.Fatal(err)
			}
			shows(t, o.post("abe", draftPath(draftReview, "approve"), url.Values{"seen": {seal}}), http.StatusConflict, "has changed since you opened it, last by Ada Brandt")
			if _, err = o.changes.Submit(t.Context(), officeActor("ada"), d.ID, d.Version); err != nil {
				t.Fatal(err)
			}
			shows(t, o.post("abe", draftPath(draftReview, "approve"), url.Values{"seen": {seal}}), http.StatusConflict, "has changed since you opened it")
			for _, forged := range []string{"", "x", d.Hash} {
				if w := o.post("abe", draftPath(draftReview, "approve"), url.Values{"seen": {forged}}); w.Code != http.StatusConflict {
					t.Errorf("approved with %q: status %d", forged, w.Code)
				}
			}
			if o.newest() != 4 {
				t.Fatal("what was not read was published")
			}
			now := seenBy(o.get("abe", draftPath(draftReview, "")), "approve")
			leadsTo(t, o.post("abe", draftPath(draftReview, "approve"), url.Values{"seen": {now}}), "/console/policies/revisions/5")
			shows(t, o.get("abe", "/console/policies/revisions/5"), http.StatusOK, "Revision 5 is published and in force.", "Approved by", "Abe Novak")
		})
	}
}

// Of two approvers who press at the same time one publishes, and the other is told.
func TestPolicies_TwoApproversAtOnce(t *testing.T) {
	o := newOffice(t, plainText)
	o.give("rae", policy.Approver)
	seal := seenBy(o.get("abe", draftPath(draftReview, "")), "approve")
	codes := make([]int, 12)
	var wg sync.WaitGroup
	for i := range codes {
		wg.Go(func() {
			codes[i] = o.post([]string{"abe", "rae"}[i%2], draftPath(draftReview, "approve"), url.Values{"seen": {seal}}).Code
		})
	}
	wg.Wait()
	slices.Sort(codes)
	if codes[0] != http.StatusSeeOther || codes[1] != http.StatusConflict || codes[len(codes)-1] != http.StatusConflict || o.newest() != 5 {
		t.Errorf("the answers were %v, and revision %d is the newest", codes, o.newest())
	}
}

// A draft is handed on, sent back, talked about and withdrawn on its page.
func TestPolicies_WayOfADraft(t *testing.T) {
	o := newOffice(t, plainText)
	d, err := o.changes.Begin(t.Context(), officeActor("ada"), "Only from the office", "Asked for by the owners.")
	if err != nil {
		t.Fatal(err)
	}
	at := func(act string) string { return draftPath(d.ID, act) }
	shows(t, o.get("ada", at("")), http.StatusOK, "Nothing is changed yet")
	shows(t, o.post("ada", at("submit"), url.Values{"seen": {"1"}}), http.StatusConflict, "it is the same as what is in force")
	if d, err = o.changes.Save(t.Context(), officeActor("ada"), d.ID, d.Version, change.Edit{Write: map[string]string{"all/zone.rego": noExports}}); err != nil {
		t.Fatal(err)
	}
	page := o.get("ada", at(""))
	shows(t, page, http.StatusOK, "Being written", "The second person could be Abe Novak.")
	shows(t, o.post("ada", at("submit"), url.Values{"seen": {"1"}}), http.StatusConflict, "has changed since you opened it")
	leadsTo(t, o.post("ada", at("submit"), url.Values{"seen": {seenBy(page, "submit")}}), at(""))
	shows(t, o.get("ada", at("")), http.StatusOK, "It is handed to review.", "It waits for a second person")
	shows(t, o.post("ada", at("submit"), url.Values{"seen": {"2"}}), http.StatusConflict, "no longer at a point where this can be done")

	shows(t, o.post("abe", at("note"), url.Values{"note": {"Which office?"}}), http.StatusSeeOther)
	shows(t, o.post("abe", at("note"), url.Values{"note": {" \r\n"}}), http.StatusUnprocessableEntity, "Give a text.")
	shows(t, o.post("abe", at("note"), url.Values{"note": {"a\u202eb"}}), http.StatusUnprocessableEntity, "characters that cannot be shown")
	shows(t, o.post("abe", at("note"), url.Values{"note": {strings.Repeat("x", noteLimit+1)}}), http.StatusUnprocessableEntity, "At most")
	page = o.get("abe", at(""))
	shows(t, page, http.StatusOK, "Which office?", "It waits for you")
	shows(t, o.post("abe", at("return"), url.Values{"seen": {seenBy(page, "return")}}), http.StatusUnprocessableEntity, "Give a reason.", "<details class=\"return\" open>")
	leadsTo(t, o.post("abe", at("return"), url.Values{"seen": {seenBy(page, "return")}, "text": {"Name the office."}}), at(""))
	shows(t, o.get("ada", at("")), http.StatusOK, "Name the office.", "sent back", "Being written")

	ask := o.get("ada", at("withdraw"))
	shows(t, ask, http.StatusOK, "Withdraw Only from the office?")
	leadsTo(t, o.post("ada", at("withdraw"), url.Values{"seen": {seenBy(ask, "withdraw")}}), at(""))
	shows(t, o.get("rae", at("")), http.StatusOK, "It was given up")
	shows(t, o.get("ada", "/console/policies"), http.StatusOK, "2 drafts were withdrawn")
	leadsTo(t, o.get("ada", at("withdraw")), at(""))
}

// A form that was made from no version changes no draft: what keeps drafts
// could take a number below nought for "whichever it is".
func TestPolicies_ForgedVersion(t *testing.T) {
	o := newOffice(t, plainText)
	before := len(o.changes.Records())
	for _, seen := range []string{"-1", "", "x", "0", "99999999999999999999", "1 ", "+3"} {
		for act, fields := range map[string]url.Values{"withdraw": {}, "rebase": {}, "submit": {}} {
			fields.Set("seen", seen)
			if w := o.post("ada", draftPath(draftBehind, act), fields); w.Code != http.StatusConflict {
				t.Errorf("%s at version %q: status %d", act, seen, w.Code)
			}
		}
		if w := o.post("abe", draftPath(draftReview, "return"), url.Values{"seen": {seen}, "text": {"No."}}); w.Code != http.StatusConflict {
			t.Errorf("return at version %q: status %d", seen, w.Code)
		}
	}
	if got := len(o.changes.Records()); got != before {
		t.Errorf("%d acts were done", got-before)
	}
}

// A draft whose base is no longer the newest revision is not published; it can
// be put upon the newest, and its page says where both had changed.
func TestPolicies_Rebase(t *testing.T) {
	o := newOffice(t, plainText)
	page := o.get("ada", draftPath(draftBehind, ""))
	shows(t, page, http.StatusOK, "Another revision was published meanwhile", "/console/policies/revisions/4?with=1")
	if seenBy(page, "submit") != "" {
		t.Error("it is offered to be handed on")
	}
	shows(t, o.post("ada", draftPath(draftBehind, "submit"), url.Values{"seen": {"2"}}), http.StatusConflict, "revision 4 was published since this draft was begun from revision 1")
	shows(t, o.get("abe", draftPath(draftBehind, "")), http.StatusOK, "An administrator has to do that.")
	leadsTo(t, o.post("ada", draftPath(draftBehind, "rebase"), url.Values{"seen": {seenBy(page, "rebase")}}), draftPath(draftBehind, ""))
	shows(t, o.get("ada", draftPath(draftBehind, "")), http.StatusOK, "In all/hours.rego both had changed", "Being written", "Against revision 4.")
}

// What the checks refuse is not handed on, and the page says what it is.
func TestPolicies_ChecksInWords(t *testing.T) {
	o := newOffice(t, plainText)
	page := o.get("ada", draftPath(draftFailing, ""))
	shows(t, page, http.StatusOK, "It cannot be handed to review yet", "1 of 9 tests fails:", "data.ringfence.all.test_ticket", "1 hole: a denial turns to allow", "deny zone", "facts.zone")
	if seenBy(page, "submit") != "" {
		t.Error("it is offered to be handed on")
	}
	shows(t, o.post("ada", draftPath(draftFailing, "submit"), url.Values{"seen": {"2"}}), http.StatusConflict, "cannot be put in force", "A test fails: all/ticket.rego:2:1: does not hold.")
	d, err := o.changes.Save(t.Context(), officeActor("ada"), draftFailing, 2, change.Edit{Write: map[string]string{"all/zone.rego": "does not compile"}})
	if err != nil {
		t.Fatal(err)
	}
	shows(t, o.get("ada", draftPath(d.ID, "")), http.StatusOK, "It does not compile:", "undefined ref: input.subjct")
}

// A page does not wait for checks that take long; one run serves everybody.
func TestPolicies_ChecksRunning(t *testing.T) {
	o := newOffice(t, plainText)
	o.studio.hold = make(chan struct{})
	was := checkWait
	checkWait = 10 * time.Millisecond
	defer func() { checkWait = was }()
	for range 2 {
		shows(t, o.get("abe", draftPath(draftReview, "")), http.StatusOK, "The checks are running", "tests passed when it was handed to review")
	}
	o.desk.checked.mu.Lock()
	var runs []*checkRun
	for _, run := range o.desk.checked.runs {
		runs = append(runs, run)
	}
	o.desk.checked.mu.Unlock()
	if len(runs) != 1 {
		t.Fatalf("%d runs of the same checks", len(runs))
	}
	close(o.studio.hold)
	<-runs[0].done
	checkWait = was
	shows(t, o.get("rae", draftPath(draftReview, "")), http.StatusOK, "All 9 tests passed.")
}

func TestPolicies_NoStudio(t *testing.T) {
	o := newOffice(t, plainText)
	o.Console.Studio = nil
	shows(t, o.get("abe", draftPath(draftReview, "")), http.StatusOK, "Nothing here can run the checks.", "It waits for you")
}

// Rolling back is proposed by one and approved by another.
func TestPolicies_RollBack(t *testing.T) {
	o := newOffice(t, plainText)
	const to = "/console/policies/revisions/1/rollback"
	shows(t, o.get("ada", to), http.StatusOK, "Roll back to revision 1?", "stays in force until a second person approves")
	shows(t, o.post("ada", to, url.Values{"reason": {" "}}), http.StatusUnprocessableEntity, "Give a reason.")
	leadsTo(t, o.post("ada", to, url.Values{"reason": {"It was better."}}), draftPath(draftOfSecond+1, ""))
	shows(t, o.get("ada", draftPath(draftOfSecond+1, "")), http.StatusOK, "The roll back is in review.", "The second person could be Abe Novak.", "Rolls back to")
	if o.newest() != 4 {
		t.Fatal("it is in force without a second person")
	}
	seal := seenBy(o.get("abe", draftPath(draftOfSecond+1, "")), "approve")
	leadsTo(t, o.post("abe", draftPath(draftOfSecond+1, "approve"), url.Values{"seen": {seal}}), "/console/policies/revisions/5")

	for _, target := range []string{"/console/policies/revisions/5/rollback", "/console/policies/revisions/5/rollback-alone"} {
		shows(t, o.get("ada", target), http.StatusConflict, "There is nothing to roll back to")
	}
	shows(t, o.get("ada", "/console/policies/revisions/77/rollback"), http.StatusNotFound)
	shows(t, o.post("ada", to, url.Values{"reason": {"Once more."}}), http.StatusUnprocessableEntity, "it is the same as what is in force")
}

// Rolling back alone is in force at once, and shown for what it was.
func TestPolicies_RollBackAlone(t *testing.T) {
	o := newOffice(t, plainText)
	const to = "/console/policies/revisions/1/rollback-alone"
	shows(t, o.get("abe", to), http.StatusOK, "without a second person?", "Every administrator and approver is told at once")
	shows(t, o.post("abe", to, nil), http.StatusUnprocessableEntity, "Give a reason.")
	leadsTo(t, o.post("abe", to, url.Values{"reason": {"Everybody is locked out."}}), "/console/policies/revisions/5")
	shows(t, o.get("ada", "/console/policies/revisions/5"), http.StatusOK, "Everybody is locked out.", "it was published by one person", "in force")
	shows(t, o.get("ada", "/console/policies"), http.StatusOK, "Published by one person alone", "rolled back to revision 1 by Abe Novak")
	shows(t, o.get("ada", draftPath(draftReview, "")), http.StatusOK, "Another revision was published meanwhile")
	if r := o.changes.Records(); r[len(r)-1].Action != "policy.rollback_alone" {
		t.Errorf("the record is %+v", r[len(r)-1])
	}
}

// Where policies come from elsewhere, the console shows where, offers no
// change of them, and refuses each that is posted.
func TestPolicies_ReadOnly(t *testing.T) {
	for name, c := range map[string]struct {
		origin change.Origin
		words  []string
	}{
		"folder": {change.Origin{Kind: "folder", Place: "/srv/policies", At: sampleNow}, []string{"come from the folder", "/srv/policies", "12 Mar 2026, 09:30 UTC"}},
		"bundle": {change.Origin{Kind: "bundle", Place: "https://ci.example/b.tar.gz", At: sampleNow, Fault: "the signature does not fit"}, []string{"come from the signed bundle", "https://ci.example/b.tar.gz", "The newest policies are not in force", "the signature does not fit"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, plainText)
			seal := seenBy(o.get("abe", draftPath(draftReview, "")), "approve")
			before := len(o.changes.Records())
			o.changes.SetOrigin(c.origin)
			shows(t, o.get("ada", "/console/policies"), http.StatusOK, c.words...)
			if c.origin.Fault != "" {
				shows(t, o.get("rae", "/console/"), http.StatusOK, "The newest policies are not in force")
			}
			for _, target := range []string{"/console/policies", "/console/policies/revisions/2", draftPath(draftReview, ""), draftPath(draftBehind, "")} {
				for _, who := range []string{"ada", "abe"} {
					for _, address := range addressesOf(t, o.get(who, target).Body.String()) {
						if strings.HasPrefix(address, "POST /console/policies") || strings.Contains(address, "/rollback") || strings.Contains(address, "/withdraw") {
							t.Errorf("%s offers %s to %s", target, address, who)
						}
					}
				}
			}
			for who, acts := range map[string][]string{"ada": {"drafts/4/submit", "drafts/2/rebase", "drafts/4/withdraw", "drafts/4/note", "revisions/2/rollback", "revisions/2/rollback-alone"}, "abe": {"drafts/4/approve", "drafts/4/return"}} {
				for _, act := range acts {
					w := o.post(who, "/console/policies/"+act, url.Values{"seen": {seal}, "text": {"x"}, "note": {"x"}, "reason": {"x"}})
					shows(t, w, http.StatusConflict, c.origin.Place)
				}
			}
			if len(o.changes.Records()) != before {
				t.Error("something was changed")
			}
		})
	}
}

// A set that nobody ever published, and a console without drafts, say what to do.
func TestPolicies_Empty(t *testing.T) {
	w := newWorld(t).enrolled("ada")
	b := w.browser()
	b.signIn("ada")
	b.visit("/console/policies").has(200, "No policies of your own yet", "No draft waits.")
	b.visit("/console/policies/revisions").has(200, "Nothing was published yet")
	d, err := w.Changes.(*changetest.Memory).Begin(t.Context(), officeActor("ada"), "First", "To begin.")
	if err != nil {
		t.Fatal(err)
	}
	b.visit(policyDraftURL(d.ID)).has(200, "nothing: it would be the first", "Nothing is changed yet")
}

// The difference is shown against any revision, and against none.
func TestPolicies_Difference(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("rae", "/console/policies/revisions/4"), http.StatusOK, "Against revision 3.", "2 files differ: &#43;2 −1 lines.", "hour &lt; 7")
	shows(t, o.get("rae", "/console/policies/revisions/4?with=2"), http.StatusOK, "Against revision 2.", "The files are the same.")
	shows(t, o.get("rae", "/console/policies/revisions/4?with=0"), http.StatusOK, "every line is new", "2 files differ: &#43;11 −0 lines.")
	for _, bad := range []string{"9", "-1", "x"} {
		shows(t, o.get("rae", "/console/policies/revisions/4?with="+bad), http.StatusBadRequest, "no such revision")
	}
}

// Only one spelling of a number names a draft or a revision.
func TestPolicies_Addresses(t *testing.T) {
	o := newOffice(t, plainText)
	for _, id := range []string{"0", "01", "+1", "-1", "1.0", "x", "%31x", "99", "99999999999999999999"} {
		for _, kind := range []string{"drafts", "revisions"} {
			if w := o.get("ada", "/console/policies/"+kind+"/"+id); w.Code != http.StatusNotFound {
				t.Errorf("%s %q: status %d", kind, id, w.Code)
			}
		}
	}
	shows(t, o.get("ada", "/console/policies/revisions/1/statement.txt"), http.StatusNotFound, "Nothing is signed")
}

// A revision that is not as it was signed is shown as such wherever it is listed.
func TestPolicies_Signature(t *testing.T) {
	o := newOffice(t, plainText)
	o.changes.statement = map[int64]string{2: "ringfence policy revision\n", 3: "x"}
	o.changes.fault = map[int64]string{3: "the signature is of another key"}
	shows(t, o.get("rae", "/console/policies/revisions/2"), http.StatusOK, "everything on this page is as it was signed", "/console/policies/revisions/2/statement.txt")
	w := o.get("rae", "/console/policies/revisions/2/statement.txt")
	shows(t, w, http.StatusOK, "ringfence policy revision\n")
	if got := w.Header().Get("Content-Disposition"); got != `attachment; filename="revision-2.txt"` {
		t.Errorf("it is sent as %s", got)
	}
	shows(t, o.get("rae", "/console/policies/revisions/3"), http.StatusOK, "does not hold", "the signature is of another key")
	shows(t, o.get("rae", "/console/policies/revisions"), http.StatusOK, "signature does not hold")
	// The newest one is not in force then, and nobody is led back to what was forged.
	o.changes.fault[4] = "the text of all/hours.rego is another one"
	shows(t, o.get("rae", "/console/policies/revisions/2"), http.StatusOK, ">in force<")
	for _, id := range []string{"3", "4"} {
		if w := o.get("ada", "/console/policies/revisions/"+id); strings.Contains(w.Body.String(), "/rollback") || strings.Contains(w.Body.String(), ">in force<") {
			t.Errorf("revision %s is offered, or said to be in force", id)
		}
	}
}

// Figures about another text are not shown for this one.
func TestPolicies_FiguresOfThisText(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("abe", draftPath(draftReview, "")), http.StatusOK, "48,211 recorded requests were decided again", "127")
	f := change.Figures{Of: "another", Replayed: 5, Tests: 3, Cells: 2}
	if v := showFigures(&f, "this"); v.Replay || v.Tested || v.Matrix {
		t.Errorf("they are shown: %+v", v)
	}
	if v := showFigures(&change.Figures{Replayed: 5}, ""); v.Replay {
		t.Error("figures of nothing are shown")
	}
}

func TestRangesOfLines(t *testing.T) {
	for want, lines := range map[string][]int{"": nil, "line 4": {4}, "lines 1–3, 7": {1, 2, 3, 7}, "lines 2, 4": {2, 4}} {
		if got := rangesOfLines(lines).String(); got != want {
			t.Errorf("%v is %q, want %q", lines, got, want)
		}
	}
}

// What cannot be read is no empty list.
func TestPolicies_Unavailable(t *testing.T) {
	o := newOffice(t, plainText)
	o.changes.fail = http.ErrServerClosed
	shows(t, o.get("ada", "/console/policies"), http.StatusServiceUnavailable, "Nothing was changed")
	shows(t, o.get("abe", "/console/"), http.StatusOK)
}

// A revision that is published and could not be put in force is not said to
// have failed: whoever tried again would publish another one.
func TestPolicies_PublishedNotInForce(t *testing.T) {
	o := newOffice(t, plainText)
	o.changes.stuck = http.ErrServerClosed
	seal := seenBy(o.get("abe", draftPath(draftReview, "")), "approve")
	shows(t, o.post("abe", draftPath(draftReview, "approve"), url.Values{"seen": {seal}}), http.StatusServiceUnavailable, "Revision 5 is published and recorded, but this gateway has not put it in force")
	shows(t, o.post("abe", "/console/policies/revisions/1/rollback-alone", url.Values{"reason": {"Locked out."}}), http.StatusServiceUnavailable, "Revision 6 is published and recorded")
}
