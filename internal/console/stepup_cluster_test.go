package console

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// staleAfter refuses on clusters what has a code older than max, as a policy's
// max_code_age does.
func staleAfter(max time.Duration) func(string, *http.Request, policy.Subject) *policy.Refusal {
	return func(_ string, _ *http.Request, s policy.Subject) *policy.Refusal {
		f := refusalOf(http.StatusUnauthorized, policy.Challenge, policy.ReasonCodeStale, "This needs a code from the last minutes.")
		if age, ok := s.CodeAge(); s.IsAnonymous() {
			f.Decision.Reasons[0].Code = policy.ReasonSignIn
		} else if ok && age <= int64(max.Seconds()) {
			return nil
		}
		f.Subject = s
		return &f
	}
}

// A page of a cluster that asks for a fresh code is reached after the code.
func TestStepUp_OfAPolicy(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	w.refusal = staleAfter(5 * time.Minute)
	b := w.browser()
	b.visit(claimsURL+"/reports?q=1").has(200, "Sign in")
	b.submit(map[string]string{"email": "kim@example.com", "password": password})
	b.submit(map[string]string{"code": w.code("kim")}).has(200, "upstream claims.test /reports?q=1")
	w.pass(6 * time.Minute)
	b.visit(claimsURL+"/reports?q=2").has(200, "Confirm that it is you", "claims.test asks for a fresh code")
	b.submit(map[string]string{"code": w.code("kim")}).has(200, "upstream claims.test /reports?q=2")
	// A session that is resumed does not get past it by the password.
	w.pass(31 * time.Minute)
	b.visit(claimsURL+"/reports?q=3").has(200, "Welcome back")
	b.submit(map[string]string{"password": password}).has(200, "Confirm that it is you")
	b.submit(map[string]string{"code": w.code("kim")}).has(200, "upstream claims.test /reports?q=3")
}

// What a form on a cluster sent is not kept: the page says so, and the way
// leads to the code and back to the page with the form.
func TestStepUp_PostOnACluster(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim").visit(claimsURL+"/reports/new").has(200, "upstream")
	w.refusal = staleAfter(5 * time.Minute)
	for name, c := range map[string]struct{ referer, back string }{
		"the page before":       {claimsURL + "/reports/new?a=b", "/reports/new?a=b"},
		"no referrer":           {"", "/"},
		"another host":          {"https://evil.example/reports", "/"},
		"another cluster":       {mapsURL + "/tiles", "/"},
		"what looks like it":    {claimsURL + ".evil.example/reports", "/"},
		"a path to elsewhere":   {claimsURL + "//evil.example/", "/"},
		"a script":              {"javascript:alert(1)", "/"},
		"a name before the at":  {"https://claims.test:8443@evil.example/", "/"},
		"what is no URL at all": {"%%%", "/"},
	} {
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			w.pass(6 * time.Minute)
			r, err := http.NewRequest(method, claimsURL+"/reports", strings.NewReader("amount=7&canary=4711"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Referer", c.referer)
			res, err := b.Do(r)
			b.take(res, err).has(http.StatusUnauthorized, "it is not kept", "you come back to the page before", "Give a fresh code").lacks("4711", "upstream")
			for a := range elements(b.page, "a") {
				if textOf(a) == "Give a fresh code" {
					b.visit(attr(a, "href")).has(200, "Confirm that it is you")
				}
			}
			b.submit(map[string]string{"code": w.code("kim")}).has(200, "upstream claims.test "+c.back+" for")
			if t.Failed() {
				t.Fatal(name)
			}
		}
	}
	// A program is told, and not led around.
	w.pass(6 * time.Minute)
	b.headers.Set("Accept", "*/*")
	res, err := b.Post(claimsURL+"/reports", "application/json", strings.NewReader("{}"))
	b.take(res, err)
	if b.status != http.StatusUnauthorized || !strings.Contains(b.body, `"code_stale"`) {
		t.Errorf("a program gets %d %s", b.status, b.body)
	}
}
