package console

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

// keyOf returns a key of this gate.
func keyOf(t *testing.T) *authtest.SoftKey {
	k := authtest.NewSoftKey(t)
	k.RPID, k.Origin = "gate.test", gateURL
	return k
}

// touch answers the page's form with the key, as its script does.
func (b *browser) touch(k *authtest.SoftKey, fields map[string]string) *browser {
	b.w.t.Helper()
	for form := range elements(b.page, "form") {
		kind := attr(form, "data-key")
		if kind == "" {
			continue
		}
		answer := []byte(nil)
		if kind == "create" {
			answer = k.Create(b.w.t, []byte(attr(form, "data-options")))
		} else {
			answer = k.Get(b.w.t, []byte(attr(form, "data-options")))
		}
		all := map[string]string{"answer": string(answer), "question": ""}
		for in := range elements(form, "input") {
			if attr(in, "name") == "question" {
				all["question"] = attr(in, "value")
			}
		}
		for name, v := range fields {
			all[name] = v
		}
		return b.submit(all)
	}
	b.w.t.Fatalf("no form asks a key at %s:\n%s", b.at, b.body)
	return b
}

// withKey signs in, adds a key and uses it once.
func (b *browser) withKey(id string) *authtest.SoftKey {
	b.w.t.Helper()
	b.signIn(id)
	k := keyOf(b.w.t)
	b.visit(gateURL+"/factors/keys/new").touch(k, map[string]string{"name": "blue key"}).has(200, "“blue key” is added", "a code is not enough")
	b.touch(k, nil).has(200, "My factors", "blue key")
	return k
}

func TestKeys_AddUseRenameRemove(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.visit(gateURL+"/login").submit(map[string]string{"email": "kim@example.com", "password": password}).has(200, "Your code").lacks("data-key")
	k := b.withKey("kim")
	b.submit(map[string]string{"id": "", "name": ""}).has(http.StatusUnprocessableEntity, "no name for a key")
	b.visit(gateURL+"/factors/keys").submit(map[string]string{"name": "green key"}).has(200, "The new name is saved", "green key").lacks("blue key")

	// The next sign-in offers both, and goes on to where it was headed.
	b.submit(map[string]string{}) // sign out: the first form of the page
	b.visit(claimsURL + "/reports").has(200)
	b.submit(map[string]string{"email": "kim@example.com", "password": password}).has(200, "or type a code", "A code works without it.")
	b.touch(k, nil).has(200, "upstream claims.test /reports for kim@example.com")

	b.visit(gateURL+"/factors/keys/none/remove").has(404, "")
	b.visit(gateURL + "/factors/keys")
	id := ""
	for a := range elements(b.page, "a") {
		if h := attr(a, "href"); strings.HasSuffix(h, "/remove") {
			id = h
		}
	}
	b.visit(gateURL+id).has(200, "Remove “green key”?", "end at once")
	w.pass(time.Second)
	for form := range elements(b.page, "form") {
		if attr(form, "action") == id {
			b.take(b.Client.PostForm(gateURL+id, nil)).has(200, "“green key” is removed", "You have no key yet")
		}
	}
}

// What goes wrong with a key is said on the page that asked, and the code
// still works there.
func TestKeys_Refused(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	k := b.withKey("kim")
	fresh := func() *browser {
		b := w.browser()
		b.visit(gateURL + "/login")
		return b.submit(map[string]string{"email": "kim@example.com", "password": password}).has(200, "Your code")
	}
	bad := *k
	bad.Origin = "https://gate.test.evil.example:8443"
	fresh().touch(&bad, nil).has(401, "That key was not accepted", "Code")
	clone := *k
	clone.Count = 0
	b = fresh()
	b.touch(&clone, nil).has(401, "answered as a copy of it would")
	w.pass(31 * time.Second)
	b.submit(map[string]string{"code": w.code("kim")}).has(200, "My clusters", "2 wrong codes")
	b.visit(gateURL+"/factors/keys").has(200, "possibly copied")

	b = fresh()
	w.pass(5 * time.Minute)
	b.touch(k, nil).has(409, "took too long")
	for _, form := range []string{"", "question=x&answer=%7B%7D", "answer=" + strings.Repeat("x", 60_000)} {
		for _, path := range []string{"/login/key", "/confirm/key", "/factors/keys/new"} {
			r := httptest.NewRequest("POST", gateURL+path, strings.NewReader(form))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Accept", "text/html")
			rec := httptest.NewRecorder()
			w.ServeHTTP(rec, r)
			if rec.Code != http.StatusSeeOther || !strings.HasPrefix(rec.Header().Get("Location"), "/login") {
				t.Errorf("%s by a stranger: %d to %q", path, rec.Code, rec.Header().Get("Location"))
			}
		}
	}
}

// TestKeys_Demanded walks the rule: whoever has no key is led to add one, a
// code adds none, an administrator's permission does.
func TestKeys_Demanded(t *testing.T) {
	w := newWorld(t).enrolled("kim", "ada")
	w.dir.d.Engagements[0].PhishingResistant = true
	w.refusal = func(_ string, _ *http.Request, s policy.Subject) *policy.Refusal {
		if _, ok := s.Factors[policy.FactorWebAuthn]; ok || s.IsAnonymous() {
			return nil
		}
		f := refusalOf(http.StatusForbidden, policy.Challenge, policy.ReasonPhishingResistant, "The engagement demands a key.")
		f.Subject = s
		return &f
	}
	kim, ada := w.browser(), w.browser()
	kim.signIn("kim").has(200, "demands a passkey or security key")
	kim.visit(claimsURL+"/reports").has(200, "Ask Ines Okafor").lacks("data-key")
	kim.visit(gateURL+"/factors/keys").has(200, "Ask your administrator")

	ada.signIn("ada")
	ada.visit(gateURL+"/console/people/kim").has(200, "demands a key", "None.")
	ada.visit(gateURL+"/console/people/kim/allow-key").has(200, "Let Kim Larsen add a key?")
	ada.take(ada.Client.PostForm(gateURL+"/console/people/kim/allow-key", nil)).has(200, "may add a key until")
	ada.take(ada.Client.PostForm(gateURL+"/console/people/ada/allow-key", nil)).has(403, "Not for yourself")

	k := keyOf(t)
	kim.visit(claimsURL+"/reports").touch(k, map[string]string{"name": "k"}).has(200, "claims.test asks for your passkey")
	kim.touch(k, nil).has(200, "upstream claims.test /reports")
	ada.visit(gateURL+"/console/people/kim").has(200, "with an administrator's permission")
	for a := range elements(ada.page, "a") {
		if h := attr(a, "href"); strings.HasSuffix(h, "/remove") {
			ada.visit(gateURL+h).has(200, "of Kim Larsen?")
			ada.take(ada.Client.PostForm(gateURL+h, nil)).has(200, "is removed", "None.")
		}
	}
	kim.visit(gateURL+"/").has(200, "Sign in") // what the key opened has ended

	// Programs hear the same.
	rec := httptest.NewRecorder()
	r := httptest.NewRequest("GET", claimsURL+"/reports", nil)
	w.Refuse(rec, r, refusalOf(http.StatusForbidden, policy.Challenge, policy.ReasonPhishingResistant, "The engagement demands a key."))
	if body := rec.Body.String(); !strings.Contains(body, policy.ReasonPhishingResistant) || !strings.Contains(body, gateURL+"/confirm/key") {
		t.Errorf("%s", body)
	}
}
