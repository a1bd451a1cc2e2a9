package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

func TestSessions_ListAndEnd(t *testing.T) {
	w := newWorld(t).enrolled("kim", "lee")
	first, second, other := w.browser(), w.browser(), w.browser()
	first.headers.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0")
	first.signIn("kim")
	w.pass(time.Minute)
	second.signIn("kim")
	other.signIn("lee")
	second.visit("/sessions").has(200, "My sessions", "Firefox on Windows", "this one", "End all others")
	mine, err := w.Auth.SessionsOf(t.Context(), "lee")
	if err != nil || len(mine) != 1 {
		t.Fatal(mine, err)
	}
	// Somebody else's session cannot be ended, whatever id is sent.
	res, err := second.PostForm(gateURL+"/sessions/end", url.Values{"id": {mine[0].ID}})
	second.take(res, err).has(http.StatusNotFound, "That session is gone")
	other.visit("/").has(200, "No cluster is open")

	second.visit("/sessions").submit(map[string]string{"id": "others"}).has(200, "Ended.").lacks("Firefox on Windows")
	first.visit("/").has(200, "E-mail address")
	second.visit("/sessions")
	for in := range elements(second.page, "input") {
		if attr(in, "name") == "id" {
			res, err := second.PostForm(gateURL+"/sessions/end", url.Values{"id": {attr(in, "value")}})
			second.take(res, err).has(200, "You are signed out")
		}
	}
}

func TestTokens_MadeShownOnceUsedRevoked(t *testing.T) {
	w := newWorld(t).enrolled("kim", "lee")
	b := w.browser()
	b.signIn("kim").visit("/tokens").has(200, "You have no token in force")
	for name, fields := range map[string]map[string]string{
		"Choose one of the clusters": {"cluster": "maps", "name": "x", "minutes": "60"},
		"Give it a name":             {"cluster": "claims", "name": "  ", "minutes": "60"},
		"one minute to an hour":      {"cluster": "claims", "name": "x", "minutes": "61"},
		"That is too long":           {"cluster": "claims", "name": strings.Repeat("é", 40), "minutes": "60"},
		"cannot be the name":         {"cluster": "claims", "name": "a\x01b", "minutes": "60"},
	} {
		b.visit("/tokens").submit(fields).has(422, name).lacks("rft_")
	}
	b.visit("/tokens").submit(map[string]string{"cluster": "claims", "name": "March", "minutes": "15"}).has(200, "it is not shown again", "March", "--cacert ca.pem", "14 minutes left"[3:])
	var secret string
	for pre := range elements(b.page, "pre") {
		if v := attr(pre, "data-copy"); strings.HasPrefix(v, "rft_") {
			secret = v
		}
	}
	b.visit("/tokens").has(200, "March").lacks(secret)
	program := func(want int) {
		t.Helper()
		r := httptest.NewRequest("GET", claimsURL+"/reports", nil)
		r.Header.Set("Authorization", "Bearer "+secret)
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		if rec.Code != want {
			t.Fatalf("the token gets status %d, want %d: %s", rec.Code, want, rec.Body)
		}
	}
	program(200)
	var id string
	for form := range elements(b.page, "form") {
		if attr(form, "action") == "/tokens/revoke" {
			for in := range elements(form, "input") {
				id = attr(in, "value")
			}
		}
	}
	thief := w.browser()
	thief.signIn("lee")
	res, err := thief.PostForm(gateURL+"/tokens/revoke", url.Values{"id": {id}})
	thief.take(res, err).has(http.StatusNotFound, "That token is gone")
	program(200)
	b.submit(map[string]string{"id": id}).has(200, "Revoked.", "You have no token in force")
	program(http.StatusUnauthorized)
}

func TestPortal_OnlyWhatIsInForce(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim").has(200, "Claims archive", "2 months left")
	w.dir.d.Vendors[0].Suspended = true
	b.visit("/").has(200, "No cluster is open to you now").lacks("Claims archive", "claims.test")
	w.dir.d.Vendors[0].Suspended = false
	w.dir.d.Assignments[0].Starts = w.clock().Add(time.Hour)
	b.visit("/").has(200, "No cluster is open to you now")
}

func TestScopeWords(t *testing.T) {
	d := sampleDirectory().Assignments[0]
	d.Access, d.Methods, d.Paths = policy.AccessWrite, []string{"GET", "PUT", "POST"}, nil
	got := ui.Join(scopeWords(d), "; ").String()
	if want := "Read and change data; Only GET, PUT and POST requests; Every path"; got != want {
		t.Errorf("scope in words: %q, want %q", got, want)
	}
	// An access that is neither read nor write may not be shown as writing.
	d.Access = "admin"
	if got := scopeWords(d)[0].String(); !strings.HasPrefix(got, "Read only") {
		t.Errorf("an unknown access is shown as %q", got)
	}
}
