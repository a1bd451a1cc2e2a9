package console

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/policy"
)

func (w *world) refuse(r *http.Request, f policy.Refusal) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.Refuse(rec, r, f)
	return rec
}

func request(method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func TestRefuse_Challenges(t *testing.T) {
	w := newWorld(t)
	for code, path := range map[string]string{policy.ReasonSignIn: "/login", policy.ReasonCodeStale: "/confirm", policy.ReasonSecondFactor: "/confirm", policy.ReasonAgreementMissing: "/agreements"} {
		f := refusalOf(http.StatusUnauthorized, policy.Challenge, code, "First do this.")
		rec := w.refuse(request("GET", claimsURL+"/a?b=c", "Accept", "text/html"), f)
		loc, err := url.Parse(rec.Header().Get("Location"))
		if rec.Code != http.StatusFound || err != nil || loc.Scheme+"://"+loc.Host != gateURL || loc.Path != path {
			t.Fatalf("%s: status %d to %s", code, rec.Code, loc)
		}
		target, ok := w.Auth.Target(loc.Query().Get("return"))
		if !ok || target.Host != "claims.test" || target.URI != "/a?b=c" {
			t.Fatalf("%s: target %+v, %v", code, target, ok)
		}
		cookies := rec.Result().Cookies()
		if len(cookies) != 1 || cookies[0].Name != auth.StartCookie || len(cookies[0].Value) < 32 || !cookies[0].HttpOnly || !cookies[0].Secure {
			t.Fatalf("%s: cookies %v", code, cookies)
		}
		// A second tab keeps the browser's secret.
		r := request("GET", claimsURL+"/second", "Sec-Fetch-Mode", "navigate")
		r.AddCookie(cookies[0])
		if again := w.refuse(r, f); again.Code != http.StatusFound || len(again.Result().Cookies()) != 0 {
			t.Fatalf("%s: the second tab changed the secret", code)
		}
	}
}

func TestRefuse_ProgramsGetJSON(t *testing.T) {
	w := newWorld(t)
	f := refusalOf(http.StatusUnauthorized, policy.Challenge, policy.ReasonSignIn, "Sign in first.")
	f.Decision.Reasons[0].Help = "Open the gate."
	for name, r := range map[string]*http.Request{
		"curl":        request("GET", claimsURL+"/a", "Accept", "*/*"),
		"fetch":       request("GET", claimsURL+"/a", "Accept", "text/html", "Sec-Fetch-Mode", "cors"),
		"websocket":   request("GET", claimsURL+"/a", "Upgrade", "websocket", "Accept", "text/html"),
		"token":       request("GET", claimsURL+"/a", "Authorization", "Bearer rft_x", "Accept", "text/html"),
		"plain post":  request("POST", claimsURL+"/a"),
		"no header":   request("GET", claimsURL+"/a"),
		"script page": request("GET", claimsURL+"/a", "Sec-Fetch-Mode", "no-cors"),
	} {
		rec := w.refuse(r, f)
		var body struct {
			Error struct {
				Code, Message, Request_id, Sign_in string
				Reasons                            []policy.Reason
			}
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || rec.Code != http.StatusUnauthorized {
			t.Fatalf("%s: status %d, %v: %s", name, rec.Code, err, rec.Body)
		}
		e := body.Error
		if e.Code != policy.ReasonSignIn || e.Message != "Sign in first." || e.Request_id != "request-1" || e.Sign_in != gateURL+"/login" || len(e.Reasons) != 1 || e.Reasons[0].Help != "Open the gate." {
			t.Errorf("%s: %s", name, rec.Body)
		}
		// git offers a token only when asked for Basic; a browser would ask for a password.
		basic := strings.Contains(strings.Join(rec.Header().Values("WWW-Authenticate"), " "), "Basic")
		if browser := r.Header.Get("Sec-Fetch-Mode") != ""; basic == browser {
			t.Errorf("%s: WWW-Authenticate %q", name, rec.Header().Values("WWW-Authenticate"))
		}
	}
	rec := w.refuse(request("GET", claimsURL+"/a"), policy.Refusal{Status: 0, RequestID: "x"})
	if rec.Code != http.StatusForbidden || !strings.Contains(rec.Body.String(), `"reasons": []`) {
		t.Errorf("a refusal that says nothing: %d %s", rec.Code, rec.Body)
	}
}

func TestRefuse_DenialSaysWhyAndWhoHelps(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	f := refusalOf(http.StatusForbidden, policy.Deny, policy.ReasonMethodOutOfScope, "You may only read here.")
	f.Decision.Reasons[0].Help = "Ask for more."
	f.Facts = &policy.Facts{Vendor: &policy.VendorFacts{Title: "Acme Analytics", Owner: policy.Person{Name: "Ines Okafor", Email: "ines@example.com"}}}
	w.refusal = func(host string, r *http.Request, s policy.Subject) *policy.Refusal {
		if s.IsAnonymous() {
			return nil
		}
		f.Subject = s
		return &f
	}
	b := w.browser()
	b.visit(claimsURL + "/secret/<b>").submit(map[string]string{"email": "kim@example.com", "password": password})
	b.submit(map[string]string{"code": w.code("kim")}).has(http.StatusForbidden, "You cannot open this in Claims archive", "You may only read here.", "Ask for more.",
		"method_out_of_scope", "Ines Okafor answers for Acme Analytics here", "Tom Abara owns Claims archive", "GET /secret/<b>", "request-1", "kim@example.com", "To my clusters")
	b.lacks("/secret/<b>", `href="/assets/`)
	for _, kind := range []string{"link", "script"} {
		for n := range elements(b.page, kind) {
			if u := attr(n, "href") + attr(n, "src"); !strings.HasPrefix(u, reservedPrefix+"/assets/") {
				t.Errorf("on a cluster's host the page loads %s", u)
			}
		}
	}
	b.submit(map[string]string{}).has(200, "You are signed out")
}

func TestHelpers_OnePersonOnce(t *testing.T) {
	f := refusalOf(403, policy.Deny, "x", "")
	f.Facts = &policy.Facts{Vendor: &policy.VendorFacts{Name: "acme", Owner: f.Owner}}
	got := helpers(f, "Claims archive")
	if len(got) != 1 || got[0].For.String() != "answers for acme here and owns Claims archive" || !strings.HasPrefix(got[0].Mail, "mailto:tom@example.com?subject=Access%20to%20Claims%20archive&body=Request%20id:%20request-1") {
		t.Errorf("helpers are %+v", got)
	}
	if got := helpers(policy.Refusal{}, ""); got != nil {
		t.Errorf("nobody is known, yet there is %+v", got)
	}
}

// What a form sent is not repeated by a redirect: the person is told.
func TestRefuse_SentFormWithEndedSession(t *testing.T) {
	w := newWorld(t)
	f := refusalOf(http.StatusUnauthorized, policy.Challenge, policy.ReasonSignIn, "Sign in first.")
	r := request("POST", claimsURL+"/save", "Sec-Fetch-Mode", "navigate", "Referer", claimsURL+"/edit?id=7")
	rec := w.refuse(r, f)
	if rec.Code != http.StatusUnauthorized || !strings.Contains(rec.Body.String(), "was not passed on") {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	_, rest, _ := strings.Cut(rec.Body.String(), gateURL+"/login?return=")
	id, _, _ := strings.Cut(rest, `"`)
	if target, ok := w.Auth.Target(id); !ok || target.URI != "/edit?id=7" {
		t.Fatalf("the way back leads to %+v", target)
	}
	r.Header.Set("Referer", "https://evil.example/x")
	_, rest, _ = strings.Cut(w.refuse(r, f).Body.String(), "/login?return=")
	id, _, _ = strings.Cut(rest, `"`)
	if target, ok := w.Auth.Target(id); !ok || target.URI != "/" {
		t.Fatalf("a foreign referrer leads to %+v", target)
	}
}

func TestRefuse_OtherCauses(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		status int
		code   string
		text   string
	}{
		{502, policy.ReasonUpstreamDown, "Claims archive does not answer"},
		{503, policy.ReasonLogUnavailable, "nothing is served unrecorded"},
		{404, policy.ReasonUnknownRoute, "has no system at this address"},
		{400, policy.ReasonRequestAmbiguous, "more than one way"},
		{413, policy.ReasonRequestTooLarge, "too large"},
		{429, policy.ReasonRateLimited, "Please wait"},
		{403, policy.ReasonCrossOrigin, "another site"},
		{500, "", "cannot be opened right now"},
		{414, "", "This cannot be right"},
	} {
		f := refusalOf(c.status, policy.Deny, c.code, "")
		f.RetryAfter = 7
		if c.code == "" {
			f.Decision.Reasons = nil
		}
		rec := w.refuse(request("GET", claimsURL+"/a", "Accept", "text/html"), f)
		if rec.Code != c.status || !strings.Contains(strings.ToLower(rec.Body.String()), strings.ToLower(c.text)) || rec.Header().Get("Retry-After") != "7" {
			t.Errorf("%d %s: status %d, lacks %q:\n%s", c.status, c.code, rec.Code, c.text, rec.Body)
		}
	}
	// An unknown host gets no way back and is not repeated.
	rec := w.refuse(request("GET", "https://evil.example/a", "Accept", "text/html"), policy.Refusal{Status: 421, RequestID: "r",
		Decision: policy.Decision{Effect: policy.Challenge, Reasons: []policy.Reason{{Code: policy.ReasonSignIn}}}})
	if rec.Code != 421 || rec.Header().Get("Location") != "" || strings.Contains(rec.Body.String(), "evil.example") {
		t.Errorf("unknown host: %d %v %s", rec.Code, rec.Header(), rec.Body)
	}
}
