package console

import (
	"bytes"
	"context"
	"encoding/json"
	"image/png"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/drift"
)

// shown returns the secret that the page shows.
func (b *browser) shown() string {
	b.w.t.Helper()
	for c := range elements(b.page, "code") {
		if s := attr(c, "data-copy"); len(s) == 32 {
			return s
		}
	}
	b.w.t.Fatalf("%s shows no secret:\n%s", b.at, b.text())
	return ""
}

// firstCode returns the first recovery code that the page shows.
func (b *browser) firstCode() string {
	b.w.t.Helper()
	for li := range elements(b.page, "li") {
		for c := range elements(li, "code") {
			return textOf(c)
		}
	}
	b.w.t.Fatalf("%s shows no recovery code:\n%s", b.at, b.text())
	return ""
}

// posts sends a form that the page need not have.
func (b *browser) posts(path string, fields url.Values) *browser {
	b.w.t.Helper()
	res, err := b.PostForm(gateURL+path, fields)
	return b.take(res, err)
}

// follow opens the first link whose text holds the words.
func (b *browser) follow(words string) *browser {
	b.w.t.Helper()
	for a := range elements(b.page, "a") {
		if strings.Contains(textOf(a), words) {
			return b.visit(attr(a, "href"))
		}
	}
	b.w.t.Fatalf("%s has no link %q:\n%s", b.at, words, b.text())
	return b
}

func (b *browser) cookieValue(name string) string {
	u, _ := url.Parse(gateURL)
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func TestFactors_AddRenameRemove(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	elsewhere := w.browser()
	elsewhere.signIn("kim")
	w.pass(time.Minute)
	b := w.browser()
	b.signIn("kim").has(200, "one factor besides your password, Authenticator app")
	b.follow("My factors").has(200, "Authenticator apps", "Authenticator app", "You may have 5").lacks("otpauth:", "End all other sessions")
	b.follow("Add an authenticator app").has(200, "Show the QR code")
	b.visit("/factors/totp/qr.png").has(http.StatusNotFound)
	b.visit("/factors/totp").submit(map[string]string{"name": "authenticator APP"}).has(422, "Another of your factors has this name")
	b.submit(map[string]string{"name": "Tablet"}).has(200, "Connect Tablet", "Scan the picture")
	secret, held := b.shown(), b.cookieValue("__Host-ringfence")
	if strings.Contains(b.at.String(), secret) || b.last.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the secret's page is %s, %s", b.at, b.last.Header.Get("Cache-Control"))
	}
	b.visit("/factors/totp/qr.png").has(200)
	if _, err := png.Decode(strings.NewReader(b.body)); err != nil || b.last.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the QR code is no picture that is never stored: %v, %q", err, b.last.Header)
	}
	// A page that is opened again goes on where it was.
	if b.visit("/factors/totp"); b.shown() != secret {
		t.Error("opened again, the page shows another secret")
	}
	// A secret from the form is not looked at.
	b.posts("/factors/totp", url.Values{"code": {codeAt(t, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", w.clock())}, "secret": {"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}}).has(http.StatusUnauthorized, "That code is not right")
	b.submit(map[string]string{"code": codeAt(t, secret, w.clock().Add(30*time.Second))}).has(200, "Added.", "Tablet", "about 30 seconds fast", "You are signed in elsewhere too").lacks(secret)
	if b.cookieValue("__Host-ringfence") == held {
		t.Error("the session's cookie is the one from before")
	}
	b.visit("/factors/totp").has(200, "Show the QR code")

	// Either device signs in.
	w.pass(time.Minute)
	again := w.browser()
	again.visit(gateURL + "/login").submit(map[string]string{"email": "kim@example.com", "password": password})
	again.submit(map[string]string{"code": codeAt(t, secret, w.clock())}).has(200, "My clusters", "2 factors besides your password; Tablet was used last")

	b.visit("/factors?note=added").submit(map[string]string{"id": "others"})
	elsewhere.visit("/").has(200, "E-mail address")
	b.visit("/factors").follow("Change Tablet").has(200, "Rename", "Remove")
	b.submit(map[string]string{"name": ""}).has(422, "Give it a name")
	b.submit(map[string]string{"name": "Old tablet"}).has(200, "Renamed.", "Old tablet")
	b.follow("Change Old tablet")
	path := b.at.Path
	b.posts(path+"/remove", nil).has(200, "Removed.").lacks("Old tablet")
	b.visit(path).has(http.StatusNotFound, "That factor is gone")
	w.pass(time.Minute)
	again = w.browser()
	again.visit(gateURL + "/login").submit(map[string]string{"email": "kim@example.com", "password": password})
	again.submit(map[string]string{"code": codeAt(t, secret, w.clock())}).has(http.StatusUnauthorized, "That code is not right")

	b.visit("/factors").follow("Change Authenticator app").has(200, "your only factor").lacks("/remove")
	b.posts(b.at.Path+"/remove", nil).has(http.StatusConflict, "your only factor")
	b.visit("/factors").has(200, "Authenticator app")
}

func TestFactors_OnlyOnesOwnAndOnlyFresh(t *testing.T) {
	w := newWorld(t).enrolled("kim", "lee")
	list, err := w.Auth.Authenticators(t.Context(), "lee")
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	b := w.browser()
	b.signIn("kim")
	for _, path := range []string{"/rename", "/remove"} {
		b.posts("/factors/"+list[0].ID+path, url.Values{"name": {"Mine now"}}).has(http.StatusNotFound, "That factor is gone")
	}
	b.visit("/factors/" + list[0].ID).has(http.StatusNotFound)
	// A screen that was left asks for a code first and leads back.
	w.pass(16 * time.Minute)
	b.visit("/factors").has(200, "Authenticator apps")
	b.follow("Add an authenticator app").has(200, "Confirm that it is you")
	b.submit(map[string]string{"code": w.code("kim")}).has(200, "Show the QR code")
	w.pass(16 * time.Minute)
	mine, _ := w.Auth.Authenticators(t.Context(), "kim")
	for _, path := range []string{"/factors/totp/new", "/factors/totp", "/factors/totp/cancel", "/factors/" + mine[0].ID + "/rename", "/factors/" + mine[0].ID + "/remove"} {
		if path == "/factors/totp/cancel" { // leads to the page that asks
			b.posts(path, nil).has(200, "Confirm that it is you")
			continue
		}
		b.posts(path, url.Values{"name": {"x"}}).has(map[bool]int{false: 200, true: 403}[path == "/factors/totp"])
		if s := b.text(); !strings.Contains(s, "Confirm that it is you") && !strings.Contains(s, "Give a fresh code first") {
			t.Errorf("%s does not ask for a code: %s", path, s)
		}
	}
	if after, _ := w.Auth.Authenticators(t.Context(), "kim"); len(after) != 1 || after[0].Name != mine[0].Name {
		t.Errorf("without a fresh code it became %+v", after)
	}
}

func TestEnrolment_NamesDevicesAndOffersASecond(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.visit(w.invite("lee")).submit(map[string]string{"password": password, "again": password}).has(200, "A name for this device")
	// Devices come after the first.
	b.visit("/enrol/devices").has(200, "Connect your authenticator app")
	b.posts("/enrol/devices/new", url.Values{"name": {"x"}}).has(200, "Connect your authenticator app")
	first := b.shown()
	b.submit(map[string]string{"name": "a\x07b", "code": codeAt(t, first, w.clock())}).has(422, "This cannot be a name")
	b.submit(map[string]string{"name": "Work phone", "code": "000000"}).has(http.StatusUnauthorized, "That code is not right")
	if !strings.Contains(b.body, `value="Work phone"`) {
		t.Error("what was typed as a name is lost")
	}
	b.submit(map[string]string{"name": "Work phone", "code": codeAt(t, first, w.clock().Add(-30*time.Second))}).
		has(200, "Keep your recovery codes", "Work phone is connected", "about 30 seconds late", "Connect another device")
	b.follow("Connect another device").has(200, "Go on without it")
	b.submit(map[string]string{"name": strings.Repeat("ü", 65)}).has(422, "This cannot be a name")
	b.submit(map[string]string{"name": ""}).has(200, "Connect Authenticator app", "Scan the picture")
	second := b.shown()
	b.visit("/enrol/qr.png").has(200)
	// Whoever comes back is where they were, and may go on without it.
	b.visit(gateURL + "/enrol")
	if b.at.Path != "/enrol/devices" || b.shown() != second {
		t.Fatalf("resumed at %s", b.at)
	}
	b.posts("/enrol/devices/cancel", nil).has(200, "Keep your recovery codes").lacks("Authenticator app is connected")
	b.visit("/enrol/devices").submit(map[string]string{"name": "Tablet"})
	second = b.shown()
	w.pass(11 * time.Minute)
	b.submit(map[string]string{"code": codeAt(t, second, w.clock())}).has(http.StatusGone, "That took too long")
	b.submit(map[string]string{"name": "Tablet"})
	second = b.shown()
	b.submit(map[string]string{"code": "000000"}).has(http.StatusUnauthorized)
	b.submit(map[string]string{"code": codeAt(t, second, w.clock())}).has(200, "Keep your recovery codes", "Work phone is connected", "Tablet is connected")
	b.submit(map[string]string{"code": b.firstCode()}).has(200, "My clusters")
	w.pass(time.Minute)
	again := w.browser()
	again.visit(gateURL + "/login").submit(map[string]string{"email": "lee@example.com", "password": password})
	again.submit(map[string]string{"code": codeAt(t, second, w.clock())}).has(200, "My clusters")
}

// Administrators see names and dates, whoever chose the names, and no secrets.
func TestFactors_AsOthersSeeThem(t *testing.T) {
	w := newWorld(t).enrolled("kim", "ada", "abe")
	b := w.browser()
	b.signIn("kim").visit("/factors/totp").submit(map[string]string{"name": `<script src=//x>"'`})
	secret := b.shown()
	b.submit(map[string]string{"code": codeAt(t, secret, w.clock())}).has(200, `<script src=//x>"'`).lacks("<script src=//x>")
	b.headers.Set("Accept", "application/json")
	var me struct {
		Factors []struct {
			Kind, Name string
			Added      time.Time
			LastUsed   time.Time `json:"last_used"`
		}
	}
	res, err := b.Get(gateURL + "/api/v1/me")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&me); err != nil || len(me.Factors) != 2 || me.Factors[0].Kind != "totp" || me.Factors[0].Added.IsZero() || me.Factors[0].LastUsed.IsZero() {
		t.Errorf("the API says %+v, %v", me, err)
	}
	office := w.browser()
	office.signIn("ada").visit("/console/people/kim").has(200, "Second factors", "Authenticator app", `<script src=//x>"'`, "just now").lacks("<script src=//x>", secret, "otpauth")
	office.visit("/console/people/rae").has(200, "enrolment is not finished")
}

func TestOverview_ClockWarnsAdministrators(t *testing.T) {
	w := newWorld(t).enrolled("ada", "abe")
	warnings := []drift.Warning{
		{Kind: drift.Drifted, Drift: 7300 * time.Millisecond, Server: "time.example.com"}, {Kind: drift.Drifted, Drift: -90 * time.Minute, Server: "x"},
		{Kind: drift.Unkept}, {Kind: drift.Silent, Asked: 2},
		{Kind: drift.OffCodes, Drift: -30 * time.Second, Same: 6, Of: 8}, {Kind: drift.OffCodes, Drift: 30 * time.Second, Same: 6, Of: 8},
	}
	w.Console.Clock = func(context.Context) []drift.Warning { return warnings }
	admin, approver := w.browser(), w.browser()
	admin.signIn("ada").visit("/console/").has(200, "7.3 seconds fast, says time.example.com", "1h30m0s slow", "Nothing keeps this machine's clock right", "2 asked",
		"codes of 6 were 30 seconds ahead of this machine's clock: it is probably slow", "30 seconds behind this machine's clock: it is probably fast")
	approver.signIn("abe").visit("/console/").has(200).lacks("clock right", "probably slow")
	warnings = nil
	admin.visit("/console/").has(200).lacks("this machine's clock")
	if got := ClockWords(drift.Warning{}); got != "" {
		t.Errorf("a warning about nothing says %q", got)
	}
}

// A name of 200 KB is refused before anything is made of it, and so are a
// hundred thousand fields.
func TestFactors_HugeForms(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim").visit("/factors/totp")
	b.posts("/factors/totp/new", url.Values{"name": {strings.Repeat("a", 200<<10)}})
	if b.status != http.StatusRequestEntityTooLarge {
		t.Errorf("200 KB: status %d", b.status)
	}
	b.posts("/factors/totp/new", url.Values{"name": {strings.Repeat("a", 60<<10)}}).has(422, "This cannot be a name")
	if bytes.Contains([]byte(b.body), bytes.Repeat([]byte("a"), 200)) {
		t.Error("a huge name is shown again whole")
	}
}
