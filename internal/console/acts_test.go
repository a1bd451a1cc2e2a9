package console

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// plus returns fields with some set otherwise.
func plus(fields url.Values, pairs ...string) url.Values {
	n := maps.Clone(fields)
	for i := 0; i+1 < len(pairs); i += 2 {
		n.Set(pairs[i], pairs[i+1])
	}
	return n
}

var hiddenState = regexp.MustCompile(`name="seen" value="([0-9a-f]+)"`)

// state returns which state of the object the form at target was made from.
func (o *office) state(target string) string {
	o.t.Helper()
	m := hiddenState.FindStringSubmatch(o.get("ada", target).Body.String())
	if m == nil {
		o.t.Fatalf("%s is no form of something that exists", target)
	}
	return m[1]
}

func TestInvite_LinkIsShownOnce(t *testing.T) {
	o := newOffice(t, plainText)
	fields := url.Values{"email": {" Noor.Haddad@Example.com "}, "name": {"Noor Haddad"}, "vendor": {"acme"}, "roles": {"contractor"}, "ends": {"2026-05-31"}}
	w := o.post("ada", "/console/people/invite", fields)
	leadsTo(t, w, "/console/people/new-noor.haddad/invitation")
	if strings.Contains(w.Body.String()+w.Header().Get("Location")+strings.Join(w.Header().Values("Set-Cookie"), ""), "invite=") {
		t.Error("the link is in the redirect")
	}
	// Another session does not see it, and does not use it up.
	o.signIn("bea")
	shows(t, o.get("bea", "/console/people/new-noor.haddad/invitation"), 200, "The link was shown before")
	first := o.get("ada", "/console/people/new-noor.haddad/invitation")
	shows(t, first, 200, officeGate+"/enrol?invite=", "noor.haddad@example.com")
	if cc := first.Header().Get("Cache-Control"); cc != "no-store" {
		t.Errorf("the link may be stored: %q", cc)
	}
	second := o.get("ada", "/console/people/new-noor.haddad/invitation")
	shows(t, second, 200, "The link was shown before")
	if strings.Contains(second.Body.String(), "invite=") {
		t.Error("the link is shown twice")
	}
	a := find(o.dir.d.Accounts, accountWithEmail("noor.haddad@example.com"))
	if a == nil || !a.Ends.Equal(time.Date(2026, 5, 31, 23, 59, 59, 0, time.UTC)) || a.Vendor != "acme" {
		t.Errorf("the account is %+v", a)
	}
	if actor := o.dir.actors[0]; actor.Account != "ada" || actor.Email != "ada@example.com" || actor.IP != "198.51.100.24" || actor.RequestID == "" {
		t.Errorf("the actor is %+v", actor)
	}
}

// Faults stand beside their fields, and what was typed stays.
func TestInvite_Faults(t *testing.T) {
	o := newOffice(t, plainText)
	good := url.Values{"email": {"noor@example.com"}, "name": {"Noor Haddad"}, "vendor": {"acme"}, "roles": {"contractor"}, "ends": {"2026-05-31"}}
	for name, c := range map[string]struct {
		fields url.Values
		want   string
	}{
		"no address":        {plus(good, "email", "noor"), "Give one e-mail address"},
		"two addresses":     {plus(good, "email", "a@example.com, b@example.com"), "Give one e-mail address"},
		"taken":             {plus(good, "email", "KIM@example.com"), "There is an account with this address already"},
		"no name":           {plus(good, "name", " "), "Give a name"},
		"control in name":   {plus(good, "name", "a\x07b"), "cannot be shown"},
		"long name":         {plus(good, "name", strings.Repeat("n", 121)), "At most 120 characters"},
		"unknown vendor":    {plus(good, "vendor", "nowhere"), "is not among the choices."},
		"no vendor":         {plus(good, "vendor", ""), "A contractor belongs to a vendor"},
		"no end":            {plus(good, "ends", ""), "Give a date"},
		"odd end":           {plus(good, "ends", "31.05.2026"), "Give a date as year-month-day"},
		"end over":          {plus(good, "ends", "2026-03-11"), "This day is over"},
		"end too far":       {plus(good, "ends", "2027-03-11"), "days ahead"},
		"unknown role":      {plus(good, "roles", "owner"), "is not among the choices"},
		"no role":           {url.Values{"email": good["email"], "name": good["name"], "vendor": {""}}, "Choose at least one role"},
		"two roles":         {url.Values{"email": good["email"], "name": good["name"], "vendor": {"acme"}, "ends": good["ends"], "roles": {"contractor", "reviewer"}}, "A contractor holds no other role"},
		"vendor's reviewer": {plus(good, "roles", "reviewer"), "can only be contractors"},
	} {
		t.Run(name, func(t *testing.T) {
			w := o.post("ada", "/console/people/invite", c.fields)
			shows(t, w, http.StatusUnprocessableEntity, c.want, "Nothing was changed", `aria-describedby="e-`)
			if n := strings.TrimSpace(c.fields.Get("name")); n == "Noor Haddad" && !strings.Contains(w.Body.String(), `value="Noor Haddad"`) {
				t.Error("what was typed is lost")
			}
		})
	}
	if len(o.dir.actors) != 0 {
		t.Error("a faulty form changed the directory")
	}
}

// Dangerous acts demand a code that is at most 15 minutes old, on the page that
// asks and on the post that does it.
func TestDangerousActs_DemandAFreshCode(t *testing.T) {
	o := newOffice(t, plainText)
	o.now = o.now.Add(15*time.Minute + time.Second)
	confirm := regexp.MustCompile(`^/confirm\?return=[A-Za-z0-9_-]+$`)
	demanded := func(w interface {
		Header() http.Header
	}, what string) {
		t.Helper()
		if to := w.Header().Get("Location"); !confirm.MatchString(to) {
			t.Errorf("%s: led to %q, not to a fresh code", what, to)
		}
	}
	for _, target := range []string{"/console/people/kim/disable", "/console/people/kim/reset", "/console/vendors/acme/suspend", "/console/vendors/orbit/resume", "/console/engagements/migration/close"} {
		demanded(o.get("ada", target), "GET "+target)
		w := o.post("ada", target, url.Values{"reason": {"x"}})
		demanded(w, "POST "+target)
		// What was posted is kept by the server, and shown again.
		u, _ := url.Parse(w.Header().Get("Location"))
		saved, _ := o.paths.get(u.Query().Get("return"), o.now)
		shows(t, o.get("ada", saved), 200, "Do it now", `href="`+target+`"`, "<dd>x</dd>")
	}
	admin := url.Values{"email": {"eve@example.com"}, "name": {"Eve"}, "roles": {"administrator"}}
	w := o.post("ada", "/console/people/invite", admin)
	demanded(w, "inviting an administrator")
	u, _ := url.Parse(w.Header().Get("Location"))
	saved, _ := o.paths.get(u.Query().Get("return"), o.now)
	shows(t, o.get("ada", saved), 200, "Invite somebody?", "<dd>eve@example.com</dd>", "<dd>administrator</dd>")
	demanded(o.post("ada", "/console/people/rae/edit", url.Values{"name": {"Rae"}, "roles": {"administrator", "reviewer"}, "seen": {o.state("/console/people/rae/edit")}}), "giving the administrator's role")
	if len(o.dir.actors) != 0 {
		t.Error("a dangerous act was done with an old code")
	}
	// What only ends something goes on.
	leadsTo(t, o.post("ada", "/console/people/kim/sessions/end", nil), "/console/people/kim")
}

// Nobody changes their own account in any way that matters.
func TestOwnAccount_IsForOthersToChange(t *testing.T) {
	o := newOffice(t, plainText)
	for _, act := range []string{"disable", "reset", "invite", "enable", "sessions/end"} {
		shows(t, o.post("ada", "/console/people/ada/"+act, nil), http.StatusForbidden, "your own account. Ask another administrator")
	}
	w := o.post("ada", "/console/people/ada/edit", url.Values{"name": {"Ada B."}, "roles": {"administrator", "reviewer", "approver"}, "ends": {"2030-01-01"}, "seen": {o.state("/console/people/ada/edit")}})
	leadsTo(t, w, "/console/people/ada")
	if a := find(o.dir.d.Accounts, accountWithID("ada")); len(a.Roles) != 1 || !a.Ends.IsZero() || a.Name != "Ada B." {
		t.Errorf("the administrator's own account is %+v", a)
	}
	if page := o.get("ada", "/console/people/ada").Body.String(); strings.Contains(page, "/disable") || strings.Contains(page, "/reset") {
		t.Error("what is refused is drawn")
	}
	shows(t, o.post("ada", "/console/assignments/new", url.Values{"account": {"ada@example.com"}, "cluster": {"maps"}, "engagement": {"support"}}), 422, "You cannot give access to yourself")
}

// A sign-in is shown as soon as its session has begun, though the directory
// hears of it later.
func TestPerson_LastSignInIsKnownAtOnce(t *testing.T) {
	o := newOffice(t, plainText)
	at := slices.IndexFunc(o.dir.d.Accounts, func(a directory.Account) bool { return a.ID == "kim" })
	o.dir.d.Accounts[at].LastLogin = time.Time{}
	for _, page := range []string{"/console/people/kim", "/console/people?text=kim", "/console/vendors/" + o.dir.d.Accounts[at].Vendor} {
		body := o.get("ada", page).Body.String()
		if signedIn := regexp.MustCompile(`(?s)Last sign-in(</dt><dd>|" class="nowrap">)just now<`); !signedIn.MatchString(body) {
			t.Errorf("%s does not show the sign-in of a moment ago", page)
		}
	}
}

func TestDisable_AndEnable(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("ada", "/console/people/kim/disable"), 200, "1 session will end", "Access to 1 cluster stops")
	leadsTo(t, o.post("ada", "/console/people/kim/disable", nil), "/console/people/kim")
	page := o.get("ada", "/console/people/kim")
	shows(t, page, 200, "kim@example.com is disabled.", "Cannot sign in", "/console/people/kim/enable")
	if strings.Contains(o.get("ada", "/console/people/kim").Body.String(), "kim@example.com is disabled.") {
		t.Error("the message is shown twice")
	}
	leadsTo(t, o.post("ada", "/console/people/kim/enable", nil), "/console/people/kim")
	if find(o.dir.d.Accounts, accountWithID("kim")).Disabled {
		t.Error("the account is still disabled")
	}
}

func TestSessions_EndedByAnAdministrator(t *testing.T) {
	o := newOffice(t, plainText)
	sessions, err := o.Auth.SessionsOf(t.Context(), "kim")
	if err != nil || len(sessions) != 1 {
		t.Fatal(sessions, err)
	}
	// A session of somebody else is not ended from this person's page.
	rae, _ := o.Auth.SessionsOf(t.Context(), "rae")
	leadsTo(t, o.post("ada", "/console/people/kim/sessions/"+rae[0].ID+"/end", nil), "/console/people/kim")
	shows(t, o.get("rae", "/console/people/kim"), 200, "Firefox on Linux")
	leadsTo(t, o.post("ada", "/console/people/kim/sessions/"+sessions[0].ID+"/end", nil), "/console/people/kim")
	shows(t, o.get("ada", "/console/people/kim"), 200, "The session ended.", "Not signed in anywhere")
	leadsTo(t, o.post("ada", "/console/people/rae/sessions/end", nil), "/console/people/rae")
	shows(t, o.get("ada", "/console/people/rae"), 200, "1 session of rae@example.com ended.")
}

func TestReset_GivesANewLink(t *testing.T) {
	o := newOffice(t, plainText)
	leadsTo(t, o.post("ada", "/console/people/kim/reset", nil), "/console/people/kim/invitation")
	shows(t, o.get("ada", "/console/people/kim/invitation"), 200, "/enrol?invite=")
	if s, _ := o.Auth.SessionsOf(t.Context(), "kim"); len(s) != 0 {
		t.Error("the sessions go on")
	}
}

func TestVendor_SuspendSaysWhatItCuts(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("ada", "/console/vendors/acme/suspend"), 200, "3 people of this vendor", "1 session will end")
	shows(t, o.post("ada", "/console/vendors/acme/suspend", url.Values{"reason": {" "}}), 422, "Give a reason")
	leadsTo(t, o.post("ada", "/console/vendors/acme/suspend", url.Values{"reason": {"Breach under investigation"}}), "/console/vendors/acme")
	if v := find(o.dir.d.Vendors, vendorNamed("acme")); !v.Suspended || v.SuspendedReason != "Breach under investigation" {
		t.Errorf("the vendor is %+v", v)
	}
	shows(t, o.get("ada", "/console/assignments/kim/claims"), 200, "held up", "The vendor Acme Analytics is suspended.")
	leadsTo(t, o.get("ada", "/console/vendors/acme/suspend"), "/console/vendors/acme")
	leadsTo(t, o.post("ada", "/console/vendors/acme/resume", nil), "/console/vendors/acme")
	if v := find(o.dir.d.Vendors, vendorNamed("acme")); v.Suspended || v.SuspendedReason != "" {
		t.Errorf("the vendor is %+v", v)
	}
}

// Two administrators edit the same thing: the second is told, and nothing of
// the first is lost.
func TestEdit_LostUpdate(t *testing.T) {
	o := newOffice(t, plainText)
	fields := url.Values{"title": {"Acme"}, "owner_name": {"Ines"}, "owner_email": {"ines@northwind.example"}, "seen": {o.state("/console/vendors/acme/edit")}}
	leadsTo(t, o.post("ada", "/console/vendors/acme/edit", fields), "/console/vendors/acme")
	shows(t, o.post("ada", "/console/vendors/acme/edit", plus(fields, "title", "Acme Two")), 422, "Somebody else changed this", `value="Acme Two"`)
	if v := find(o.dir.d.Vendors, vendorNamed("acme")); v.Title != "Acme" {
		t.Errorf("the title is %q", v.Title)
	}
}

func TestEdit_StoreRefuses(t *testing.T) {
	o := newOffice(t, plainText)
	o.dir.fail = errors.New("secret cause")
	w := o.post("ada", "/console/people/kim/disable", nil)
	shows(t, w, http.StatusServiceUnavailable, "everything is as it was")
	if strings.Contains(w.Body.String(), "secret cause") {
		t.Error("the cause is shown")
	}
}

// What the keeper of the directory refuses is said in words, with what to do,
// by a form and by a button alike.
func TestEdit_RefusedChangesSayWhatToDo(t *testing.T) {
	o := newOffice(t, plainText)
	fields := url.Values{"title": {"Acme"}, "owner_name": {"Ines"}, "owner_email": {"ines@northwind.example"}, "seen": {o.state("/console/vendors/acme/edit")}}
	o.dir.fail = fmt.Errorf("writing: %w", directory.ErrOwnRights)
	shows(t, o.post("ada", "/console/vendors/acme/edit", fields), http.StatusUnprocessableEntity, "ask another administrator", `value="Acme"`)
	shows(t, o.post("ada", "/console/people/kim/disable", nil), http.StatusUnprocessableEntity, "ask another administrator")
	o.dir.fail = fmt.Errorf("writing: %w", directory.ErrNotAllowed)
	for target, body := range map[string]url.Values{"/console/vendors/acme/edit": fields, "/console/people/kim/disable": nil} {
		shows(t, o.post("ada", target, body), http.StatusForbidden, "Only an administrator may change this", "Nothing was changed", "Ask another administrator")
	}
}

func TestVendor_New(t *testing.T) {
	o := newOffice(t, plainText)
	fields := url.Values{"title": {"Nova"}, "name": {"nova"}, "owner_name": {"Ines"}, "owner_email": {"ines@northwind.example"}}
	shows(t, o.post("ada", "/console/vendors/new", plus(fields, "name", "Nova!")), 422, "A name has small letters", `value="Nova!"`)
	shows(t, o.post("ada", "/console/vendors/new", plus(fields, "name", "acme")), 422, "This name is taken.")
	leadsTo(t, o.post("ada", "/console/vendors/new", fields), "/console/vendors/nova")
	shows(t, o.get("ada", "/console/vendors/nova"), 200, "Nova is added.", "Nobody has been invited yet")
}

func TestEngagement_NewEditClose(t *testing.T) {
	o := newOffice(t, plainText)
	fields := url.Values{"vendor": {"delta"}, "title": {"Survey"}, "name": {"survey"}, "starts": {"2026-03-01"}, "ends": {"2026-06-30"}, "clusters": {"maps"}, "agreements": {"nda"}}
	shows(t, o.post("ada", "/console/engagements/new", plus(fields, "ends", "2026-02-01")), 422, "The last day is before the first", `value="maps" checked`)
	shows(t, o.post("ada", "/console/engagements/new", plus(fields, "clusters", "moon")), 422, "is not among the choices")
	leadsTo(t, o.post("ada", "/console/engagements/new", fields), "/console/engagements/survey")
	if e := find(o.dir.d.Engagements, engagementNamed("survey")); !e.Starts.Equal(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)) || !e.Ends.Equal(time.Date(2026, 6, 30, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("the engagement is %+v", e)
	}
	// A form that changes the title alone leaves the dates as they are, to the second.
	before := *find(o.dir.d.Engagements, engagementNamed("migration"))
	edit := url.Values{"title": {"Renamed"}, "starts": {dateValue(before.Starts)}, "ends": {lastDayValue(before.Ends)}, "clusters": {"claims"}, "agreements": {"nda"}, "seen": {o.state("/console/engagements/migration/edit")}}
	leadsTo(t, o.post("ada", "/console/engagements/migration/edit", edit), "/console/engagements/migration")
	if e := find(o.dir.d.Engagements, engagementNamed("migration")); !e.Ends.Equal(before.Ends) || !e.Starts.Equal(before.Starts) || e.Title != "Renamed" {
		t.Errorf("the engagement is %+v", e)
	}
	// An earlier end would cut assignments short: refused, unless that is asked for.
	edit = plus(edit, "ends", "2026-03-15", "seen", o.state("/console/engagements/migration/edit"))
	shows(t, o.post("ada", "/console/engagements/migration/edit", edit), 422, "assignment kim@example.com/claims, ends", "after the engagement")
	leadsTo(t, o.post("ada", "/console/engagements/migration/edit", plus(edit, "shorten", "yes")), "/console/engagements/migration")
	if a := find(o.dir.d.Assignments, assignmentOf("kim@example.com", "claims")); !a.Ends.Equal(time.Date(2026, 3, 15, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("the assignment ends %s", a.Ends)
	}
	leadsTo(t, o.post("ada", "/console/engagements/migration/close", nil), "/console/engagements/migration")
	shows(t, o.get("ada", "/console/engagements/migration"), 200, "closed")
	shows(t, o.post("ada", "/console/engagements/gone/close", nil), 404)
}

func TestCluster_Form(t *testing.T) {
	o := newOffice(t, plainText)
	fields := url.Values{"title": {"Wiki"}, "name": {"wiki"}, "classification": {"internal"}, "hosts": {"wiki.test\r\n wiki2.test "}, "owner_name": {"Ines"}, "owner_email": {"ines@northwind.example"},
		"routes": {"2"}, "route_name_0": {"web"}, "path_0": {"/"}, "upstreams_0": {"http://10.0.0.5:80\r\nhttp://10.0.0.6:80"}, "timeout_0": {"45s"}, "options_0": {"preserve_host"}}
	more := o.post("ada", "/console/clusters/new", plus(fields, "more", "yes"))
	shows(t, more, 200, "Route 3", `name="routes" value="3"`, "http://10.0.0.5:80", `value="wiki"`)
	for name, c := range map[string]struct {
		fields url.Values
		want   string
	}{
		"odd timeout":   {plus(fields, "timeout_0", "soon"), `id="e-timeout_0"`},
		"odd upstream":  {plus(fields, "upstreams_0", "ftp://10.0.0.5"), `id="e-upstreams_0"`},
		"path upstream": {plus(fields, "upstreams_0", "http://10.0.0.5/x"), `id="e-upstreams_0"`},
		"taken host":    {plus(fields, "hosts", "claims.test"), `id="e-hosts"`},
		"gate's host":   {plus(fields, "hosts", "gate.test"), `id="e-hosts"`},
		"no host":       {plus(fields, "hosts", " "), "Give at least one host name"},
		"odd class":     {plus(fields, "classification", "secret"), `id="e-classification"`},
		"odd authority": {plus(fields, "upstream_ca_0", "-----BEGIN"), `id="e-upstream_ca_0"`},
		"second route":  {plus(fields, "route_name_1", "api", "path_1", "api", "upstreams_1", "http://10.0.0.7:80"), `id="e-path_1"`},
		"no route":      {plus(fields, "route_name_0", "", "path_0", "", "upstreams_0", ""), "at least one route"},
		"no count":      {plus(fields, "routes", "many"), "does not say how many routes"},
	} {
		t.Run(name, func(t *testing.T) {
			shows(t, o.post("ada", "/console/clusters/new", c.fields), 422, c.want, `value="Wiki"`)
		})
	}
	leadsTo(t, o.post("ada", "/console/clusters/new", fields), "/console/clusters/wiki")
	k := find(o.dir.d.Clusters, clusterNamed("wiki"))
	if len(k.Hosts) != 2 || k.Hosts[1] != "wiki2.test" || len(k.Routes) != 1 || len(k.Routes[0].Upstreams) != 2 || k.Routes[0].Timeout != 45*time.Second || !k.Routes[0].PreserveHost || k.Routes[0].EncodedSlashes {
		t.Errorf("the cluster is %+v", k)
	}
	// What a form shows and what it makes of that are the same cluster.
	cl := find(o.dir.d.Clusters, clusterNamed("claims"))
	before := fingerprint(cl)
	leadsTo(t, o.post("ada", "/console/clusters/claims/edit", clusterValues(cl)), "/console/clusters/claims")
	if after := fingerprint(find(o.dir.d.Clusters, clusterNamed("claims"))); after != before {
		t.Error("an unchanged form changed the cluster")
	}
}

func TestAssignment_GiveEditEnd(t *testing.T) {
	o := newOffice(t, plainText)
	fields := url.Values{"account": {"lee@example.com"}, "cluster": {"claims"}, "engagement": {"migration"}, "starts": {"2026-03-12"}, "ends": {"2026-03-20"}, "access": {"read"}, "paths": {"/reports\r\n/api"}, "reason": {"Holiday\r\ncover"}}
	for name, c := range map[string]struct {
		fields url.Values
		want   string
	}{
		"nobody":           {plus(fields, "account", "nobody@example.com"), "Invite the person first"},
		"no contractor":    {plus(fields, "account", "rae@example.com"), "Only contractors are assigned"},
		"not covered":      {plus(fields, "cluster", "payroll"), "does not cover"},
		"other vendor":     {plus(fields, "engagement", "audit"), "belongs to"},
		"after the end":    {plus(fields, "ends", "2026-06-01"), "after the engagement"},
		"no access":        {plus(fields, "access", ""), "Choose what access"},
		"write in read":    {plus(fields, "methods", "POST"), "POST is not reading"},
		"odd path":         {plus(fields, "paths", "reports"), "does not begin with a slash"},
		"no reason":        {plus(fields, "reason", ""), "Say why"},
		"has access":       {plus(fields, "account", "kim@example.com"), "has access to this cluster already"},
		"unknown cluster":  {plus(fields, "cluster", "moon"), "is not among the choices."},
		"ends before":      {plus(fields, "ends", "2026-03-01"), "The last day is before the first"},
		"ambiguous prefix": {plus(fields, "paths", "/a/../b"), `id="e-paths"`},
	} {
		t.Run(name, func(t *testing.T) {
			shows(t, o.post("ada", "/console/assignments/new", c.fields), 422, c.want)
		})
	}
	leadsTo(t, o.post("ada", "/console/assignments/new", fields), "/console/assignments/lee/claims")
	shows(t, o.get("ada", "/console/assignments/lee/claims"), 200, "Lee Moreau has access.", "Holiday cover", "paths at and below /reports and /api", "The agreement nda is not accepted yet")
	edit := url.Values{"engagement": {"migration"}, "starts": {"2026-03-12"}, "ends": {"2026-03-20"}, "access": {"write"}, "methods": {"GET", "POST"}, "reason": {"Cover"}, "seen": {o.state("/console/assignments/lee/claims/edit")}}
	leadsTo(t, o.post("ada", "/console/assignments/lee/claims/edit", edit), "/console/assignments/lee/claims")
	if a := find(o.dir.d.Assignments, assignmentOf("lee@example.com", "claims")); a.Access != policy.AccessWrite || len(a.Paths) != 0 || len(a.Methods) != 2 {
		t.Errorf("the assignment is %+v", a)
	}
	leadsTo(t, o.post("ada", "/console/assignments/lee/claims/end", nil), "/console/people/lee")
	if a := find(o.dir.d.Assignments, assignmentOf("lee@example.com", "claims")); a == nil || !a.Ends.Equal(o.now) {
		t.Errorf("the ended assignment is %+v", a)
	}
	o.now = o.now.Add(time.Minute)
	leadsTo(t, o.post("ada", "/console/assignments/new", plus(fields, "starts", "2026-03-13")), "/console/assignments/lee/claims")
	leadsTo(t, o.post("ada", "/console/assignments/lee/claims/end", nil), "/console/people/lee")
	if a := find(o.dir.d.Assignments, assignmentOf("lee@example.com", "claims")); a != nil {
		t.Errorf("an assignment that never began is kept as %+v", a)
	}
}

func TestPaged(t *testing.T) {
	rows := make([]int, 2*rowsAPage+1)
	q := url.Values{"text": {"x"}, "page": {"2"}, "role": {""}}
	for number, want := range map[int]struct {
		n            int
		newer, older string
	}{1: {rowsAPage, "", "/l?page=2&text=x"}, 2: {rowsAPage, "/l?text=x", "/l?page=3&text=x"}, 3: {1, "/l?page=2&text=x", ""}, 9: {0, "/l?page=8&text=x", ""}} {
		got, pager := paged(rows, number, "/l", q, "entry")
		if len(got) != want.n || pager.Newer != want.newer || pager.Older != want.older {
			t.Errorf("page %d: %d rows, %+v", number, len(got), pager)
		}
	}
	if _, pager := paged(rows[:2], 1, "/l", nil, "entry"); pager.Text.String() != "2 entries" || pager.Newer+pager.Older != "" {
		t.Errorf("one page: %+v", pager)
	}
}

func TestFaults_StandBesideTheirField(t *testing.T) {
	f := newForm(nil)
	f.place(directory.Fault{Object: "vendor acme", Field: "owner.email", Message: "is missing"}, "vendor acme", vendorFields)
	f.place(directory.Fault{Object: "cluster claims", Field: "hosts[0]", Message: `"x" is a host of cluster y already`}, "vendor acme", vendorFields)
	if f.Fault("owner_email") != "This is missing." || len(f.Notes) != 1 || f.Notes[0].String() != `cluster claims, hosts[0]: "x" is a host of cluster y already.` || f.OK() {
		t.Errorf("%v %q", f.faults, f.Notes)
	}
}
