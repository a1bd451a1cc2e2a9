package ui

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func newRenderer(t *testing.T) *Renderer {
	t.Helper()
	u, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAssets_HashedAndImmutable(t *testing.T) {
	u := newRenderer(t)
	for name, url := range u.set.assets.urls {
		w := httptest.NewRecorder()
		u.Assets().ServeHTTP(w, httptest.NewRequest("GET", url, nil))
		if w.Code != 200 || w.Body.Len() == 0 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Header().Get("Content-Type") == "" {
			t.Errorf("%s at %s: status %d, %v", name, url, w.Code, w.Header())
		}
		head := httptest.NewRecorder()
		u.Assets().ServeHTTP(head, httptest.NewRequest("HEAD", "/.ringfence"+url, nil))
		if head.Code != 200 || head.Body.Len() != 0 {
			t.Errorf("HEAD of %s: status %d with %d bytes", name, head.Code, head.Body.Len())
		}
	}
	for _, path := range []string{"/assets/app.css", "/assets/", "/assets/..", "/assets/app.AAAAAAAAAAAA.css", "/assets/%2e%2e/doc.go"} {
		w := httptest.NewRecorder()
		u.Assets().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 404 || strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: status %d, kept %q", path, w.Code, w.Header().Get("Cache-Control"))
		}
	}
	w := httptest.NewRecorder()
	u.Assets().ServeHTTP(w, httptest.NewRequest("POST", u.set.assets.urls["app.css"], nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST of an asset: status %d", w.Code)
	}
}

// Nothing that is served may need what the content security policy forbids.
func TestAssets_FitThePolicy(t *testing.T) {
	u := newRenderer(t)
	for name, f := range u.set.assets.files {
		for _, bad := range []string{"@import", "url(http", "url(//", "url(data:", "eval(", "innerHTML", "insertAdjacentHTML", "document.write", "new Function", "localStorage", "sessionStorage"} {
			if strings.Contains(string(f.body), bad) {
				t.Errorf("%s contains %s", name, bad)
			}
		}
	}
	inline := regexp.MustCompile(`(?i)\sstyle=|\son[a-z]+=|<style|<script(?:>|\s[^>]*>[^<])|javascript:|src="(?:https?:)?//`)
	err := filepath.Walk(".", func(path string, info os.FileInfo, err error) error {
		if err != nil || filepath.Ext(path) != ".tmpl" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if m := inline.Find(b); m != nil {
			t.Errorf("%s holds %q", path, m)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPage_FaultGivesTheErrorPageWhole(t *testing.T) {
	u := newRenderer(t)
	for name, page := range map[string]string{"no such page": "nothing", "struct that does not fit": "portal"} {
		w := httptest.NewRecorder()
		u.Page(w, httptest.NewRequest("GET", "/", nil), 200, page, ErrorPage{})
		if w.Code != 500 || !strings.Contains(w.Body.String(), "Nothing was changed") || !strings.HasSuffix(strings.TrimSpace(w.Body.String()), "</html>") ||
			strings.Contains(w.Body.String(), "My clusters") || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: status %d:\n%s", name, w.Code, w.Body)
		}
	}
}

func TestLoad_BrokenPages(t *testing.T) {
	all, err := newLanguages(false)
	if err != nil {
		t.Fatal(err)
	}
	whole := func() fstest.MapFS {
		return fstest.MapFS{"layout/base.tmpl": {Data: []byte(`{{define "base"}}{{template "main" .}}{{end}}`)}, "shared/a/a.tmpl": {Data: []byte(`{{define "a"}}{{end}}`)},
			"pages/error/error.tmpl": {Data: []byte(`{{define "main"}}x{{end}}`)}, "static/mark.svg": {Data: []byte("<svg/>")}}
	}
	if _, err := load(whole(), all); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"syntax": `{{define "main"}}{{if}}{{end}}`, "no main": `{{define "other"}}{{end}}`, "unknown function": `{{define "main"}}{{nothing}}{{end}}`} {
		fsys := whole()
		fsys["pages/broken/broken.tmpl"] = &fstest.MapFile{Data: []byte(data)}
		if s, err := load(fsys, all); err == nil || s != nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecureHeaders_TargetsCannotAddDirectives(t *testing.T) {
	h := http.Header{}
	SecureHeaders(h, "https://a.example:8443", "https://b.example; script-src *", "https://c.example *", "http://plain.example", "'unsafe-inline'", "*", "https://d.example,")
	if got := h.Get("Content-Security-Policy"); !strings.HasSuffix(got, "form-action 'self' https://a.example:8443") {
		t.Errorf("policy is %q", got)
	}
}

func TestAsError(t *testing.T) {
	secret := errors.New("secret cause")
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{secret, 500, "internal"},
		{fmt.Errorf("doing: %w", NotFound()), 404, "not_found"},
		{&Error{Status: 302}, 500, "internal"},
		{&Error{Status: 0, Err: secret}, 500, "internal"},
		{&Error{Status: 410, Code: "gone", Title: "Gone", Detail: "It is gone."}, 410, "gone"},
		{&Error{Status: 418}, 418, "bad_request"},
		{&Error{Status: 599}, 599, "internal"},
		{fmt.Errorf("reading: %w", &http.MaxBytesError{Limit: 1}), 413, "request_too_large"},
		{fmt.Errorf("reading: %w", context.DeadlineExceeded), 503, "unavailable"},
		{BadRequest("Say it again."), 400, "bad_request"},
	} {
		e := AsError(c.err)
		if e.Status != c.status || e.Code != c.code || e.Title == "" || e.Detail == "" || strings.Contains(e.Title.String()+e.Detail.String(), "secret") {
			t.Errorf("%v became %+v", c.err, e)
		}
	}
	if a, b := NotFound(), NotFound(); a == b {
		t.Error("errors are shared between requests")
	}
}

func TestHandler_MapsErrors(t *testing.T) {
	u := newRenderer(t)
	w := httptest.NewRecorder()
	u.Handler(func(http.ResponseWriter, *http.Request) error {
		return &Error{Status: 429, RetryAfter: 1500 * time.Millisecond}
	}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 429 || w.Header().Get("Retry-After") != "2" || !strings.Contains(w.Body.String(), "Please wait a moment") {
		t.Errorf("status %d, %v", w.Code, w.Header())
	}
	head := httptest.NewRecorder()
	u.Handler(func(http.ResponseWriter, *http.Request) error { return NotFound() }).ServeHTTP(head, httptest.NewRequest("HEAD", "/", nil))
	if head.Code != 404 || head.Body.Len() != 0 {
		t.Errorf("HEAD: status %d with %d bytes", head.Code, head.Body.Len())
	}
}

func TestMarkdown_NoRawHTML(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"**a**", "<p><strong>a</strong></p>"},
		{"<script>x</script>", ""}, {"a <b onclick=x>b</b>", "<p>a "}, {"[x](javascript:alert(1))", `<a href="">x</a>`}, {"[x](https://a.example)", `<a href="https://a.example">x</a>`},
		{"[x](data:text/html,a)", `<a href="">x</a>`}, {"![x](javascript:a)", `<img src="" alt="x">`}, {"<javascript:alert(1)>", ""},
	} {
		got, err := markdown(c.text)
		if err != nil || !strings.Contains(string(got), c.want) || regexp.MustCompile(`(?i)<script|onclick=|href="(javascript|data)|src="javascript`).MatchString(string(got)) {
			t.Errorf("%q became %q, %v", c.text, got, err)
		}
	}
}

func TestOtpauth_NothingElse(t *testing.T) {
	if _, err := otpauth("otpauth://totp/a?secret=b"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"javascript:alert(1)", "https://a.example", "otpauth://hotp/a", " otpauth://totp/a", ""} {
		if got, err := otpauth(bad); err == nil || got != "" {
			t.Errorf("%q is let through as %q", bad, got)
		}
	}
}

func TestStamp_ZeroIsADash(t *testing.T) {
	if got := english.stamp(time.Time{}, 'm'); got != "–" {
		t.Errorf("the zero time is %q", got)
	}
	if got := english.stamp(time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)), 'm'); got != "2 Jan 2026, 02:04 UTC" {
		t.Errorf("a time is %q", got)
	}
}

func TestHash_Shown(t *testing.T) {
	for _, c := range []struct {
		h    Hash
		want string
	}{{Hash{Value: "abc"}, "abc"}, {Hash{Value: "0123456789abcdef0123"}, "0123456789ab…"}, {Hash{Value: "äöüäöüäöü", Short: 2}, "äö…"}} {
		if got := c.h.Shown(); got != c.want {
			t.Errorf("%+v is shown as %q", c.h, got)
		}
	}
}

// TestContrast holds the colours to WCAG AA, in light and in dark: 4.5 for
// text, 3 for the borders of controls and for the focus ring.
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("layout/base.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark := map[string]string{}, map[string]string{}
	token := regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6});`)
	parts := strings.SplitN(string(css), "prefers-color-scheme: dark", 2)
	for _, m := range token.FindAllStringSubmatch(parts[0], -1) {
		light[m[1]], dark[m[1]] = m[2], m[2]
	}
	screen, _, _ := strings.Cut(parts[1], "@media print")
	for _, m := range token.FindAllStringSubmatch(screen, -1) {
		dark[m[1]] = m[2]
	}
	pairs := []struct {
		front, back string
		least       float64
	}{
		{"ink", "paper", 4.5}, {"ink", "surface", 4.5}, {"ink", "sunken", 4.5}, {"ink-2", "paper", 4.5}, {"ink-2", "surface", 4.5}, {"ink-2", "sunken", 4.5},
		{"accent", "paper", 4.5}, {"accent", "surface", 4.5}, {"accent", "accent-soft", 4.5}, {"accent-ink", "accent", 4.5}, {"accent-ink", "accent-hover", 4.5},
		{"good", "good-soft", 4.5}, {"warn", "warn-soft", 4.5}, {"bad", "bad-soft", 4.5}, {"ink", "bad-soft", 4.5}, {"ink-2", "bad-soft", 4.5}, {"accent", "warn-soft", 4.5},
		{"bad", "surface", 4.5}, {"bad", "paper", 4.5}, {"warn", "surface", 4.5},
		{"line-2", "surface", 3}, {"line-2", "paper", 3}, {"focus", "surface", 3}, {"focus", "paper", 3}, {"bad", "surface", 3},
	}
	for scheme, colours := range map[string]map[string]string{"light": light, "dark": dark} {
		for _, p := range pairs {
			if c := contrast(t, colours[p.front], colours[p.back]); c < p.least {
				t.Errorf("%s: %s on %s is %.2f, want %.1f", scheme, p.front, p.back, c, p.least)
			}
		}
	}
}

// contrast is the ratio of WCAG 2.2.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	l1, l2 := luminance(t, a), luminance(t, b)
	return (max(l1, l2) + 0.05) / (min(l1, l2) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 32)
	if err != nil {
		t.Fatalf("colour %q: %v", colour, err)
	}
	linear := func(c uint64) float64 {
		v := float64(c&0xff) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(n>>16) + 0.7152*linear(n>>8) + 0.0722*linear(n)
}

func TestStamp_InEachLanguage(t *testing.T) {
	all, err := newLanguages(false)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 2, 15, 4, 5, 0, time.UTC)
	for layout, want := range map[byte]string{'d': "2. März 2026", 'l': "2. März 2026", 'm': "2. März 2026, 15:04 UTC", 'h': "15:04 UTC"} {
		if got := all.tongues[1].stamp(at, layout); got != want {
			t.Errorf("layout %c is %q, want %q", layout, got, want)
		}
	}
}

// TestCount_Groups: from five digits on a number stands in groups, as each
// language has them; shorter ones stay as they are.
func TestCount_Groups(t *testing.T) {
	all, err := newLanguages(false)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"10,000,052", "10.000.052"} {
		l := all.tongues[i]
		if got := l.word(Count(10_000_052, "{1} entry", "{1} entries")); !strings.HasPrefix(got, want+" ") {
			t.Errorf("%q, want %s", got, want)
		}
		if got, err := l.numberOf(uint64(9999)); err != nil || got != "9999" {
			t.Errorf("%q, %v", got, err)
		}
	}
}
