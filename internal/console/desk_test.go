package console

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// deskPages are the pages of the console with the account that looks, by the
// name of the file that a picture is made from.
var deskPages = []struct{ name, as, target string }{
	{"overview", "ada", "/console/"}, {"overview-approver", "abe", "/console/"},
	{"people", "ada", "/console/people"}, {"people-page", "rae", "/console/people?page=2&vendor=delta"}, {"people-none", "rae", "/console/people?text=nobody"}, {"people-fault", "ada", "/console/people?status=odd"},
	{"person", "ada", "/console/people/kim"}, {"person-self", "ada", "/console/people/ada"}, {"person-invited", "ada", "/console/people/ivy"}, {"person-disabled", "rae", "/console/people/dan"},
	{"person-new", "ada", "/console/people/invite"}, {"person-edit", "ada", "/console/people/kim/edit"}, {"person-edit-self", "ada", "/console/people/ada/edit"},
	{"ask-disable", "ada", "/console/people/kim/disable"}, {"ask-reset", "ada", "/console/people/kim/reset"}, {"ask-invite", "ada", "/console/people/ivy/invite"}, {"invitation-shown", "ada", "/console/people/ivy/invitation"},
	{"vendors", "ada", "/console/vendors"}, {"vendor", "ada", "/console/vendors/acme"}, {"vendor-suspended", "rae", "/console/vendors/orbit"}, {"vendor-new", "ada", "/console/vendors/new"},
	{"vendor-edit", "ada", "/console/vendors/acme/edit"}, {"ask-suspend", "ada", "/console/vendors/acme/suspend"}, {"ask-resume", "ada", "/console/vendors/orbit/resume"},
	{"sessions-all", "ada", "/console/sessions"}, {"sessions-none", "rae", "/console/sessions?text=nobody"}, {"sessions-fault", "rae", "/console/sessions?state=odd"}, {"ask-everybody", "ada", "/console/sessions/end"}, {"ask-vendor-sessions", "ada", "/console/vendors/acme/sessions/end"},
	{"engagements", "ada", "/console/engagements"}, {"engagement", "ada", "/console/engagements/migration"}, {"engagement-held", "ada", "/console/engagements/audit"}, {"engagement-new", "ada", "/console/engagements/new?vendor=acme"},
	{"engagement-edit", "ada", "/console/engagements/migration/edit"}, {"ask-close", "ada", "/console/engagements/migration/close"},
	{"clusters", "ada", "/console/clusters"}, {"cluster", "ada", "/console/clusters/claims"}, {"cluster-new", "ada", "/console/clusters/new"}, {"cluster-edit", "ada", "/console/clusters/claims/edit"},
	{"agreements-console", "ada", "/console/agreements"}, {"agreement-console", "ada", "/console/agreements/nda"}, {"agreement-version", "rae", "/console/agreements/nda/versions/2"},
	{"agreement-new", "ada", "/console/agreements/new"}, {"agreement-edit", "ada", "/console/agreements/nda/edit"},
	{"assignments", "ada", "/console/assignments"}, {"assignments-held", "rae", "/console/assignments?state=held+up"}, {"assignment", "ada", "/console/assignments/kim/claims"}, {"assignment-held", "rae", "/console/assignments/oma/payroll"},
	{"assignment-new", "ada", "/console/assignments/new?account=kim@example.com"}, {"assignment-edit", "ada", "/console/assignments/kim/claims/edit"}, {"ask-end", "ada", "/console/assignments/kim/claims/end"},
	{"fleet", "rae", "/console/log/fleet"}, {"fleet-entry", "rae", "/console/log/fleet/entry?origin=gate.test/gw2&index=9"}, {"delivery", "ada", "/console/delivery"}, {"delivery-reviewer", "rae", "/console/delivery"},
	{"log", "rae", "/console/log"}, {"log-filtered", "rae", "/console/log?q=effect:deny+since:1d+type:request"}, {"log-none", "rae", "/console/log?q=nowhere"}, {"log-fault", "rae", "/console/log?q=cluter:claims+since:1d"}, {"log-older-fault", "rae", "/console/log?since=yesterday&status=99"}, {"log-facets", "rae", "/console/log?q=cluster:claims&facets=more"},
	{"log-live", "rae", "/console/log/live?q=effect:deny"}, {"log-live-fault", "rae", "/console/log/live?q=("}, {"timeline-session", "rae", "/console/log/session/ses_kim"}, {"timeline-account", "rae", "/console/log/account/kim"}, {"timeline-none", "rae", "/console/log/session/none"},
	{"log-status", "rae", "/console/log?q=status:5xx"}, {"entry", "rae", "/console/log/1"}, {"entry-denied", "rae", "/console/log/5"}, {"entry-outcome", "rae", "/console/log/2"}, {"entry-facts", "rae", "/console/log/0"},
	{"policy-try", "abe", "/console/policies/try"}, {"policy-try-entry", "rae", "/console/policies/try?entry=5"}, {"entry-explained", "rae", "/console/log/5?explain=yes"},
	{"policies", "ada", "/console/policies"}, {"policies-approver", "abe", "/console/policies"}, {"policies-reviewer", "rae", "/console/policies"},
	{"policy-revisions", "rae", "/console/policies/revisions"}, {"policy-revisions-fault", "rae", "/console/policies/revisions?page=x"},
	{"policy-revision", "ada", "/console/policies/revisions/4"}, {"policy-revision-alone", "rae", "/console/policies/revisions/3"}, {"policy-revision-with", "abe", "/console/policies/revisions/2?with=0"},
	{"draft-review", "abe", "/console/policies/drafts/4"}, {"draft-review-author", "ada", "/console/policies/drafts/4"}, {"draft-second", "abe", "/console/policies/drafts/8"}, {"draft-done", "rae", "/console/policies/drafts/1"},
	{"draft-behind", "ada", "/console/policies/drafts/2"}, {"draft-failing", "ada", "/console/policies/drafts/5"}, {"draft-withdrawn", "ada", "/console/policies/drafts/6"}, {"draft-same", "ada", "/console/policies/drafts/7"},
	{"alarms", "rae", "/console/alarms"}, {"alarms-all", "ada", "/console/alarms?show=all"}, {"alarm", "rae", "/console/alarms/kim"}, {"alarm-done", "ada", "/console/alarms/a3"},
	{"alarm-rules", "rae", "/console/alarms/rules"}, {"alarm-rule", "ada", "/console/alarms/rules/denials"}, {"alarm-rule-volume", "ada", "/console/alarms/rules/unusual-volume"}, {"alarm-rule-new", "ada", "/console/alarms/rules/new"},
	{"alarm-receivers", "ada", "/console/alarms/receivers"}, {"alarm-receiver", "ada", "/console/alarms/receivers/hook"}, {"alarm-receiver-new", "ada", "/console/alarms/receivers/new"},
	{"ask-withdraw", "ada", "/console/policies/drafts/5/withdraw"}, {"ask-rollback", "abe", "/console/policies/revisions/2/rollback"}, {"ask-rollback-alone", "ada", "/console/policies/revisions/2/rollback-alone"},
}

// TestConsolePages_Looks makes every page of the console over full data and
// leaves them as files for whoever wants to look.
func TestConsolePages_Looks(t *testing.T) {
	o := newOffice(t, plainText)
	dir := t.ArtifactDir()
	for _, p := range deskPages {
		w := o.get(p.as, p.target)
		want := http.StatusOK
		if strings.HasSuffix(p.name, "-fault") {
			want = http.StatusUnprocessableEntity
		}
		shows(t, w, want)
		saveAssets(t, o.UI, dir, w.Body.String())
		if err := os.WriteFile(filepath.Join(dir, p.name+".html"), w.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// addressesOf returns the addresses that a page leads to, each after its method.
func addressesOf(t *testing.T, page string) []string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for n := range elements(root, "") {
		switch {
		case n.Data == "a" && attr(n, "href") != "":
			out = append(out, "GET "+attr(n, "href"))
		case n.Data == "form":
			out = append(out, strings.ToUpper(attr(n, "method"))+" "+attr(n, "action"))
		}
	}
	return out
}

func TestWaiting_OnceAndNotForEver(t *testing.T) {
	var w waiting[string]
	w.put("a", "one", sampleNow)
	if got := w.take("a", sampleNow.Add(time.Minute)); got != "one" {
		t.Errorf("took %q", got)
	}
	if got := w.take("a", sampleNow); got != "" {
		t.Errorf("took %q a second time", got)
	}
	w.put("b", "two", sampleNow)
	if got := w.take("b", sampleNow.Add(waitFor)); got != "" {
		t.Errorf("took %q too late", got)
	}
	for i := range maxWaiting + 10 {
		w.put(fmt.Sprint(i), "x", sampleNow.Add(time.Duration(i)))
	}
	if len(w.left) > maxWaiting || w.take("0", sampleNow) != "" || w.take(fmt.Sprint(maxWaiting+9), sampleNow) != "x" {
		t.Errorf("%d wait", len(w.left))
	}
}
