package console

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

// Every route that changes something is here with whether it asks for a fresh
// code, so that a new one is thought about.
func TestRoutes_FreshCode(t *testing.T) {
	const (
		ask = "asks"
		// Why the others do not.
		signing  = "is how one signs in or proves oneself"
		own      = "ends or takes away something of one's own"
		ends     = "only ends a session"
		notYours = "sends on to a route that asks"
		drafts   = "changes a draft, which is in force only once somebody else approved it with a fresh code"
		tries    = "enforces nothing"
		keeps    = "keeps a question"
	)
	want := map[string]string{
		"POST /login": signing, "POST /login/code": signing, "POST /logout": own, "POST /resume": signing, "POST /confirm": signing,
		"POST /enrol": signing, "POST /enrol/authenticator": signing, "POST /enrol/recovery": signing,
		"POST /step-up/{id}": notYours,
		"POST /agreements":   "is an act of the person's own, which policies demand",
		"POST /sessions/end": own, "POST /tokens/revoke": own, "DELETE /api/v1/tokens/{id}": own,
		"POST /tokens": ask, "POST /api/v1/tokens": ask,
		"POST /enrol/devices": signing, "POST /enrol/devices/new": signing, "POST /enrol/devices/cancel": signing,
		"POST /factors/totp": ask, "POST /factors/totp/new": ask, "POST /factors/totp/cancel": own, "POST /factors/{id}/rename": ask, "POST /factors/{id}/remove": ask,
		"POST /login/key": signing, "POST /confirm/key": signing, "POST /factors/keys/new": "asks for a factor of its own", "POST /factors/keys/rename": own, "POST /factors/keys/{key}/remove": ask,
		"POST /device/code": "is a program's request", "POST /device/token": "is a program's request", "POST /device/clusters": "is a program's request", "POST /device/revoke": own,
		"POST /device": "asks for a factor of its own", "POST /device/{id}": "asks for a factor of its own",
		"POST /console/delivery/{name}/retry": ask, "POST /console/delivery/{name}/skip": ask, "POST /console/delivery/{name}/reset": ask,
		"POST /tokens/access": ask, "POST /tokens/machines/end": own, "POST /console/tokens/revoke": ends,
		"POST /language": own, "POST /notices/seen": own, "POST /password": ask, "POST /factors/recovery": ask, "POST /factors/recovery/new": own,
		"POST /login/oidc": signing, "POST /login/oidc/start": signing, "POST /enrol/company": signing,
		"POST /console/policies/matrix": tries, "POST /console/policies/matrix/stop": tries, "POST /console/policies/shadow": tries, "POST /console/policies/shadow/stop": tries,
		"POST /console/policies/gaps": tries, "POST /console/policies/gaps/stop": tries,
		"POST /console/policies/drafts/{id}/replay": tries, "POST /console/policies/drafts/{id}/replay/stop": tries, "POST /console/policies/drafts/{id}/replay/test": "writes in a draft, which decides nothing",
		"POST /console/alarms/{id}": "notes what somebody found", "POST /console/alarms/rules/{rule}": ask, "POST /console/alarms/rules/{rule}/try": tries, "POST /console/alarms/rules/{rule}/stop": tries,
		"POST /console/alarms/receivers/new": ask, "POST /console/alarms/receivers/{receiver}": ask, "POST /console/alarms/receivers/{receiver}/try": ask, "POST /console/alarms/receivers/{receiver}/remove": ask,
		"POST /console/warnings/{id}/pass": "notes that somebody was told",
		"POST /console/log/searches/new":   keeps, "POST /console/log/searches/{id}/edit": keeps, "POST /console/log/reviews": "says that somebody looked, in their own name",
		"POST /console/log/exports": ask, "POST /console/log/exports/{id}/file": "fetches what was asked for with a fresh code", "POST /console/log/exports/{id}/stop": own,
		"POST /console/people/{id}/allow-key": ask, "POST /console/people/{id}/keys/{key}/remove": ask, "POST /console/people/{id}/unpin": ask,
		"POST /console/vendors/{name}/provider": ask, "POST /console/vendors/{name}/provider/remove": ask, "POST /console/vendors/{name}/provider/try": "changes nothing",
		"POST /console/agreements/new": ask, "POST /console/agreements/{name}/edit": ask, "POST /console/agreements/{name}/remove": ask,
		"POST /console/policies/try":  "changes nothing",
		"POST /console/people/invite": ask, "POST /console/people/{id}/edit": ask, "POST /console/people/{id}/invite": ask, "POST /console/people/{id}/disable": ask,
		"POST /console/people/{id}/erase": ask, "POST " + holdsPath: ask, "POST " + retentionPath + "/prune": ask, "POST " + retentionPath + "/rules": ask, "POST " + retentionPath + "/rules/{id}/approve": ask, "POST " + retentionPath + "/rules/{id}/refuse": ask, "POST " + holdsPath + "/{id}/lift": ask,
		"POST /console/people/{id}/enable": ask, "POST /console/people/{id}/reset": ask,
		"POST /console/people/{id}/sessions/end": ends, "POST /console/people/{id}/sessions/{session}/end": ends, "POST /console/sessions/{session}/end": ends,
		"POST /console/vendors/new": ask, "POST /console/vendors/{name}/edit": ask, "POST /console/vendors/{name}/suspend": ask, "POST /console/vendors/{name}/resume": ask,
		"POST /console/vendors/{name}/sessions/end": ask, "POST /console/sessions/end": ask,
		"POST /console/engagements/new": ask, "POST /console/engagements/{name}/edit": ask, "POST /console/engagements/{name}/close": ask,
		"POST /console/clusters/new": ask, "POST /console/clusters/{name}/edit": ask,
		"POST /console/policies/library/{module}/add": "changes a draft, which is in force only once it is published", "POST /console/policies/library/{module}/parameters": "changes a draft, which is in force only once it is published",
		"POST /console/policies/revisions/{id}/rollback": ask, "POST /console/policies/revisions/{id}/rollback-alone": ask,
		"POST /console/policies/drafts/{id}/submit": ask, "POST /console/policies/drafts/{id}/approve": ask,
		"POST /console/policies/drafts/{id}/return": "only hinders a draft", "POST /console/policies/drafts/{id}/withdraw": "only hinders a draft",
		"POST /console/policies/drafts/{id}/note": "says something", "POST /console/policies/drafts/{id}/rebase": "changes a draft, which others approve",
		"POST /console/policies/new": drafts, "POST /console/policies/drafts/{id}/check": "changes nothing", "POST /console/policies/drafts/{id}/edit": drafts, "POST /console/policies/drafts/{id}/edit/about": drafts,
		"POST /console/policies/drafts/{id}/edit/add": drafts, "POST /console/policies/drafts/{id}/edit/rename": drafts, "POST /console/policies/drafts/{id}/edit/delete": drafts,
		"POST /console/assignments/new": ask, "POST /console/assignments/{id}/{cluster}/edit": ask, "POST /console/assignments/{id}/{cluster}/end": ask,
	}
	w := newWorld(t)
	for _, rt := range slices.Concat(w.gateRoutes(), w.keyRoutes(), w.deviceRoutes(), w.tokenRoutes(), w.consoleRoutes()) {
		method, _, _ := strings.Cut(rt.pattern, " ")
		if slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, method) || !strings.Contains(rt.pattern, " ") {
			continue
		}
		why, known := want[rt.pattern]
		switch {
		case !known:
			t.Errorf("%s is not in the table: does it need a fresh code?", rt.pattern)
		case rt.fresh != (why == ask):
			t.Errorf("%s: fresh is %v, but it %s", rt.pattern, rt.fresh, why)
		case rt.fresh && !rt.json && rt.act == "":
			t.Errorf("%s does not say what it does", rt.pattern)
		}
		delete(want, rt.pattern)
	}
	for pattern := range maps.Keys(want) {
		t.Errorf("%s is no route", pattern)
	}
}

// tokensOf counts kim's tokens.
func tokensOf(t *testing.T, w *world) int {
	t.Helper()
	list, err := w.Auth.Tokens(t.Context(), "kim")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// staleToken signs kim in, lets the code grow old, and posts the form that
// makes a token. It returns the address at which the form waits.
func staleToken(t *testing.T, w *world, b *browser, name string) (waits string) {
	t.Helper()
	b.visit("/tokens").submit(map[string]string{"name": name, "cluster": "claims", "minutes": "30"}).has(200, "It is kept for ten minutes")
	b.submit(map[string]string{"code": w.code("kim")}).has(200, "Make a token?", name)
	if tokensOf(t, w) != 0 {
		t.Fatal("the form was sent before its button was pressed")
	}
	return b.at.Path
}

// Replayed step-up forms: a form is done once, by the session that sent it.
func TestStepUp_DoneOnce(t *testing.T) {
	w := newWorld(t).enrolled("kim", "lee")
	b := w.browser()
	b.signIn("kim")
	w.pass(20 * time.Minute)
	waits := staleToken(t, w, b, "first")

	// Another account, and another session of the same account, get nothing.
	lee, again := w.browser(), w.browser()
	lee.signIn("lee")
	w.pass(30 * time.Second)
	again.signIn("kim")
	for _, stranger := range []*browser{lee, again} {
		stranger.visit(waits).has(http.StatusGone, "Nothing waits here")
		res, err := stranger.PostForm(gateURL+waits, nil)
		stranger.take(res, err).has(http.StatusGone, "Nothing waits here")
	}
	// Neither does a page of another site, though the browser is the right one.
	b.headers.Set("Sec-Fetch-Site", "cross-site")
	res, err := b.PostForm(gateURL+waits, nil)
	b.take(res, err).has(http.StatusForbidden, "another site")
	b.headers.Del("Sec-Fetch-Site")

	// A double press does it once.
	var wg sync.WaitGroup
	codes := make([]int, 8)
	for i := range codes {
		twin := w.browser()
		twin.Jar = b.Jar
		wg.Go(func() {
			res, err := twin.PostForm(gateURL+waits, nil)
			if err == nil {
				codes[i] = res.StatusCode
			}
		})
	}
	wg.Wait()
	slices.Sort(codes)
	if codes[0] != 200 || codes[1] != http.StatusGone || codes[7] != http.StatusGone || tokensOf(t, w) != 1 {
		t.Errorf("eight presses got %v and made %d tokens", codes, tokensOf(t, w))
	}
	b.visit(waits).has(http.StatusGone)
}

// A form that waits is worth nothing once its session has ended, or too late.
func TestStepUp_EndsWithItsSession(t *testing.T) {
	for name, end := range map[string]func(*world, *browser){
		"signed out": func(w *world, b *browser) { res, err := b.PostForm(gateURL+"/logout", nil); b.take(res, err) },
		"ended by an administrator": func(w *world, b *browser) {
			if _, err := w.Auth.EndSessions(t.Context(), authtest.Operator, "kim"); err != nil {
				t.Fatal(err)
			}
		},
		"too late": func(w *world, b *browser) { w.pass(keptLife) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).enrolled("kim")
			b := w.browser()
			b.signIn("kim")
			w.pass(20 * time.Minute)
			waits := staleToken(t, w, b, "late")
			end(w, b)
			w.pass(30 * time.Second)
			if name != "too late" {
				b.signIn("kim")
			}
			b.visit(waits).has(http.StatusGone)
			res, err := b.PostForm(gateURL+waits, nil)
			b.take(res, err).has(http.StatusGone)
			if tokensOf(t, w) != 0 {
				t.Error("it was done all the same")
			}
		})
	}
}

// What waits is judged anew when it is sent: the code has grown old again, or
// the role is gone.
func TestStepUp_JudgedAnew(t *testing.T) {
	w := newWorld(t).enrolled("kim", "ada")
	b := w.browser()
	b.signIn("kim")
	w.pass(20 * time.Minute)
	staleToken(t, w, b, "slow")
	w.pass(9 * time.Minute) // the form is kept, and the code still good
	page := *b
	w.pass(50 * time.Second)
	page.press("Do it now").has(200, "rft_")

	ada := w.browser()
	ada.signIn("ada")
	w.pass(20 * time.Minute)
	ada.visit("/console/vendors/acme/edit").submit(map[string]string{"title": "Acme, later"}).has(200, "Confirm that it is you")
	ada.submit(map[string]string{"code": w.code("ada")}).has(200, "Change the vendor?", "Acme, later")
	a, err := w.store.Account(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	a.Roles = []policy.Role{policy.Reviewer}
	w.store.SetAccount(a)
	if err := w.Auth.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	ada.press("Do it now").has(http.StatusForbidden)
	if w.dir.d.Vendors[0].Title != "Acme Analytics" {
		t.Error("somebody without the role changed a vendor")
	}
}

// The form of a dangerous act comes through whole: fields, several values, and
// the state that it was made from.
func TestStepUp_WholeForm(t *testing.T) {
	w := newWorld(t).enrolled("ada")
	b := w.browser()
	b.signIn("ada")
	w.pass(20 * time.Minute)
	fields := url.Values{"name": {"noor-2026"}, "vendor": {"acme"}, "title": {"Noor & <b>Co</b>"}, "starts": {"2026-03-01"}, "ends": {"2026-05-31"}, "clusters": {"claims", "maps"}, "session_idle": {"10m"}}
	res, err := b.PostForm(gateURL+"/console/engagements/new", fields)
	b.take(res, err).has(200, "Confirm that it is you")
	b.submit(map[string]string{"code": w.code("ada")}).has(200, "Add the engagement?", "claims, maps", "Noor & <b>Co</b>")
	b.press("Do it now").has(200, "Noor & <b>Co</b>", "Paused after 10m without use")
	e := find(w.dir.d.Engagements, engagementNamed("noor-2026"))
	if e == nil || len(e.Clusters) != 2 || e.Session.Idle != 10*time.Minute {
		t.Errorf("the engagement is %+v", e)
	}
}

// Secrets are never kept, nor is what is large: the page says to fill in again.
func TestStepUp_NotKept(t *testing.T) {
	w := newWorld(t).enrolled("ada")
	b := w.browser()
	b.signIn("ada")
	w.pass(20 * time.Minute)
	for name, fields := range map[string]url.Values{
		"a secret": {"title": {"x"}, "client_secret": {"canary-7141"}},
		"large":    {"title": {strings.Repeat("x", maxKeptForm)}},
	} {
		res, err := b.PostForm(gateURL+"/console/vendors/acme/edit", fields)
		b.take(res, err).has(http.StatusForbidden, "What you sent was not kept", "fill it in again").lacks("canary-7141")
		if len(w.kept.forms) != 0 {
			t.Errorf("%s is kept", name)
		}
		for a := range elements(b.page, "a") {
			if attr(a, "class") == "button" {
				b.visit(attr(a, "href")).has(200, "Confirm that it is you")
			}
		}
		w.pass(30 * time.Second)
		b.submit(map[string]string{"code": w.code("ada")}).has(200, "Edit Acme Analytics")
		w.pass(20 * time.Minute)
	}
	if (route{secret: true}).mayKeep(url.Values{"a": {"b"}}) {
		t.Error("the form of a route with secrets may be kept")
	}
}

// Programs are told what is missing and nothing of theirs is kept.
func TestStepUp_Programs(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim")
	w.pass(20 * time.Minute)
	b.headers.Set("Accept", "application/json")
	res, err := b.Post(gateURL+"/api/v1/tokens", "application/json", strings.NewReader(`{"cluster":"claims","name":"x","minutes":5}`))
	b.take(res, err)
	if b.status != http.StatusUnauthorized || !strings.Contains(b.body, `"code_stale"`) || len(w.kept.forms) != 0 {
		t.Errorf("%d %s, %d forms kept", b.status, b.body, len(w.kept.forms))
	}
}

// Strangers, and one browser, cannot make the gate keep ever more.
func TestKeptForms_Bounded(t *testing.T) {
	var k keptForms
	now := sampleNow
	var ids []string
	for i := range 10 {
		ids = append(ids, k.put(keptForm{session: "one", uri: fmt.Sprint(i)}, now))
	}
	if len(k.forms) != maxKeptSession || len(k.order) != maxKeptSession {
		t.Errorf("%d forms of one session, %d in order", len(k.forms), len(k.order))
	}
	if f, ok := k.get(ids[9], "one", now); !ok || f.uri != "9" {
		t.Error("the newest form is gone")
	}
	for i := range 2 * maxKept {
		k.put(keptForm{session: fmt.Sprint("s", i)}, now)
	}
	if len(k.forms) > maxKept || len(k.order) > maxKept {
		t.Errorf("%d forms are kept, %d in order", len(k.forms), len(k.order))
	}
	k.put(keptForm{session: "late"}, now.Add(keptLife))
	if len(k.forms) != 1 || len(k.order) != 1 {
		t.Errorf("%d forms stay after their time", len(k.forms))
	}
}
