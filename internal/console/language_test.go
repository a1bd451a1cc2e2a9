package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// A browser that asks for German gets German, and says so to programs that read
// the page aloud; programs that read JSON get English whatever they ask for.
func TestLanguage_OfTheBrowser(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.headers.Set("Accept-Language", "de-AT,de;q=0.9,en;q=0.5")
	b.visit(gateURL+"/login").has(200, "Anmelden", "Jede Anmeldung und jede Anfrage wird protokolliert.").lacks("Sign in")
	if !strings.Contains(b.body, `<html lang="de">`) || b.last.Header.Get("Vary") != "Accept-Language, Cookie" {
		t.Errorf("the page is %q, varying by %q", b.body[:40], b.last.Header.Get("Vary"))
	}
	b.submit(map[string]string{"email": "kim@example.com", "password": "wrong"}).has(http.StatusUnauthorized, "Die E-Mail-Adresse oder das Passwort stimmt nicht")
	b.signIn("kim").has(200, "Meine Cluster", "Claims archive")

	w.refusal = func(string, *http.Request, policy.Subject) *policy.Refusal {
		f := refusalOf(http.StatusForbidden, policy.Deny, policy.ReasonMethodOutOfScope, "Your assignment to this cluster does not include this kind of request.")
		return &f
	}
	b.visit(claimsURL+"/reports").has(http.StatusForbidden, "Ihre Zuweisung zu diesem Cluster umfasst diese Art von Anfrage nicht.")
	b.headers.Set("Accept", "application/json")
	b.visit(claimsURL + "/reports")
	if !strings.Contains(b.body, "does not include this kind of request") {
		t.Errorf("a program is told %s", b.body)
	}
}

// What is asked for in other languages, or in none, is answered in English.
func TestLanguage_OthersGetEnglish(t *testing.T) {
	w := newWorld(t)
	for _, accept := range []string{"", "fr", "*", "nonsense;;q=", "en-XA", strings.Repeat("de,", 200), "fr;q=1, en;q=0.4"} {
		b := w.browser()
		b.headers.Set("Accept-Language", accept)
		if b.visit(gateURL + "/login"); !strings.Contains(b.body, `<html lang="en">`) || !strings.Contains(b.body, "Sign in") {
			t.Errorf("%q is answered with %q", accept, b.body[:40])
		}
	}
}

// The language cookie of another product let its value into a page; here it
// counts only when it names a language, and the way back is a page of the gate.
func TestLanguage_ChoiceIsChecked(t *testing.T) {
	w := newWorld(t)
	post := func(language, back string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", gateURL+"/language", strings.NewReader(url.Values{"language": {language}, "back": {back}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		return rec
	}
	for back, want := range map[string]string{"/login?return=x": "/login?return=x", "/tokens": "/tokens", "": "/", "//evil.example/login": "/", "https://evil.example/login": "/",
		`/\evil.example`: "/", "/nowhere": "/", "login": "/", "/login\r\nX: y": "/", "/logout": "/", "/%2f%2fevil.example": "/"} {
		rec := post("de", back)
		cookie := rec.Header().Get("Set-Cookie")
		if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != want || !strings.HasPrefix(cookie, ui.LanguageCookie+"=de; Path=/; Max-Age=") || !strings.Contains(cookie, "; HttpOnly; Secure; SameSite=Lax") {
			t.Errorf("%q leads to %d %q with %q, want %q", back, rec.Code, rec.Header().Get("Location"), cookie, want)
		}
	}
	for _, bad := range []string{"", "fr", "../../de", "de\r\nSet-Cookie: x=y", "en-XA", "DE"} {
		if rec := post(bad, "/login"); rec.Code != http.StatusBadRequest || rec.Header().Get("Set-Cookie") != "" {
			t.Errorf("language %q: status %d with cookie %q", bad, rec.Code, rec.Header().Get("Set-Cookie"))
		}
	}
	for value, want := range map[string]string{"de": "de", "en": "en", "../../etc/passwd": "en", "<script>": "en", "en-XA": "en"} {
		r := httptest.NewRequest("GET", gateURL+"/login", nil)
		r.Header.Set("Cookie", ui.LanguageCookie+"="+value)
		rec := httptest.NewRecorder()
		if w.ServeHTTP(rec, r); !strings.Contains(rec.Body.String(), `<html lang="`+want+`">`) {
			t.Errorf("a cookie of %q is answered with %q", value, rec.Body.String()[:40])
		}
	}
}

// The choice stands before what the browser asks for, from the page's own switch.
func TestLanguage_Switch(t *testing.T) {
	b := newWorld(t).browser()
	press := func(tag string) *browser { // the button of a form without other fields
		for form := range elements(b.page, "form") {
			for button := range elements(form, "button") {
				if attr(button, "value") == tag {
					back := ""
					for in := range elements(form, "input") {
						back = attr(in, "value")
					}
					return b.take(b.PostForm(b.absolute(attr(form, "action")), url.Values{"back": {back}, attr(button, "name"): {tag}}))
				}
			}
		}
		t.Fatalf("there is no button for %s:\n%s", tag, b.body)
		return nil
	}
	b.visit(gateURL+"/login?note=out").has(200, "Deutsch", "You are signed out")
	press("de").has(200, "English", "Sie sind abgemeldet")
	press("en").has(200, "You are signed out")
}

// TestBrowser_GermanFitsAPhone opens the pages in German, whose words are
// longer, on narrow screens.
func TestBrowser_GermanFitsAPhone(t *testing.T) {
	var who atomic.Value
	o := newOffice(t, plainText)
	b := newTab(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Accept-Language", "de")
		o.signedIn(&who).ServeHTTP(w, r)
	}))
	pages := append([]struct{ name, as, target string }{{"login", "", "/login"}, {"portal", "kim", "/"}, {"sessions", "kim", "/sessions"}, {"tokens", "kim", "/tokens"}, {"factors", "kim", "/factors"},
		{"password", "kim", "/password"}, {"recoverycodes", "kim", "/factors/recovery"}, {"notices", "kim", "/notices"}, {"device", "kim", "/device"}, {"newkey", "kim", "/factors/keys/new"},
		{"everybody", "ada", "/console/sessions"}, {"everytoken", "ada", "/console/tokens"}, {"agreements", "ada", "/console/agreements"}}, deskPages...)
	for _, p := range pages {
		who.Store(p.as)
		b.do(chromedp.Navigate(officeGate + p.target))
		for _, width := range []int64{320, 360, 1280} {
			b.do(chromedp.EmulateViewport(width, 900))
			if wide := evaluate[float64](b, `document.documentElement.scrollWidth`); wide > float64(width) {
				t.Errorf("%s is %v pixels wide on a screen of %d", p.name, wide, width)
			}
			if width != 320 {
				b.picture("german-" + p.name + "-" + itoa(int(width)))
			}
		}
		if got := evaluate[string](b, `document.documentElement.lang`); got != "de" {
			t.Errorf("%s is in %q", p.name, got)
		}
	}
}

// TestBrowser_GermanSamplesFit opens every page of the gate and the portal with
// sample data in German.
func TestBrowser_GermanSamplesFit(t *testing.T) {
	u, samples := newRenderer(t), gateSamples(plainText)
	b := newTab(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/assets/") {
			u.Assets().ServeHTTP(w, r)
			return
		}
		r.Header.Set("Accept-Language", "de")
		for _, s := range samples {
			if r.URL.Path == "/"+s.name {
				u.Page(w, r, http.StatusOK, s.page, s.data)
				return
			}
		}
		http.NotFound(w, r)
	}))
	for _, s := range samples {
		b.do(chromedp.Navigate(gateURL + "/" + s.name))
		for _, width := range []int64{320, 360, 1280} {
			b.do(chromedp.EmulateViewport(width, 900))
			if wide := evaluate[float64](b, `document.documentElement.scrollWidth`); wide > float64(width) {
				t.Errorf("%s is %v pixels wide on a screen of %d", s.name, wide, width)
			}
			if width != 320 {
				b.picture("german-sample-" + s.name + "-" + itoa(int(width)))
			}
		}
		if got := evaluate[string](b, `document.documentElement.lang`); got != "de" {
			t.Errorf("%s is in %q", s.name, got)
		}
	}
}
