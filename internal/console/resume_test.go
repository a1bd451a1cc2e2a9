package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// A person who comes back from lunch goes on where they were with the password
// alone; what asks for a fresh code still does.
func TestResume_ByPassword(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim").visit(claimsURL+"/reports").has(200, "upstream")
	w.pass(31 * time.Minute)
	b.visit(claimsURL+"/reports?q=1").has(200, "Welcome back", "kim@example.com", "claims.test")
	b.submit(map[string]string{"password": "wrong horse"}).has(http.StatusUnauthorized, "The password is not right")
	b.submit(map[string]string{"password": password}).has(200, "upstream claims.test /reports?q=1")
	b.visit(gateURL+"/").has(200, "My clusters")
	b.visit("/sessions").has(200, "Opened: Claims archive").lacks("new device")
	b.visit("/tokens").submit(map[string]string{"name": "x", "cluster": "claims", "minutes": "30"}).has(200, "Confirm that it is you")

	// Again and again, but never past the absolute end.
	start := w.clock().Add(-31 * time.Minute)
	for w.clock().Before(start.Add(12*time.Hour - 31*time.Minute)) {
		w.pass(31 * time.Minute)
		b.visit(gateURL+"/").has(200, "Welcome back")
		b.submit(map[string]string{"password": password}).has(200, "My clusters")
	}
	w.pass(31 * time.Minute)
	b.visit(gateURL+"/").has(200, "E-mail address").lacks("Welcome back")
}

// Only the browser that signed in is offered it: neither the session's cookie
// alone nor the device's is enough.
func TestResume_OnItsDeviceOnly(t *testing.T) {
	w := newWorld(t).enrolled("kim", "lee")
	b := w.browser()
	b.signIn("kim")
	w.pass(31 * time.Minute)
	gate, _ := url.Parse(gateURL)
	have := map[string]string{}
	for _, k := range b.Jar.Cookies(gate) {
		have[k.Name] = k.Value
	}
	lee := w.browser()
	lee.signIn("lee")
	others := ""
	for _, k := range lee.Jar.Cookies(gate) {
		if k.Name == auth.DeviceCookie {
			others = k.Value
		}
	}
	for name, cookies := range map[string]map[string]string{
		"the session alone":            {auth.SessionCookie: have[auth.SessionCookie]},
		"the device alone":             {auth.DeviceCookie: have[auth.DeviceCookie]},
		"another's device":             {auth.SessionCookie: have[auth.SessionCookie], auth.DeviceCookie: others},
		"a session's cookie as device": {auth.SessionCookie: have[auth.SessionCookie], auth.DeviceCookie: have[auth.SessionCookie]},
	} {
		thief := w.browser()
		var list []*http.Cookie
		for k, v := range cookies {
			list = append(list, &http.Cookie{Name: k, Value: v, Path: "/", Secure: true})
		}
		thief.Jar.SetCookies(gate, list)
		thief.visit("/resume").has(200, "E-mail address").lacks("Welcome back")
		res, err := thief.PostForm(gateURL+"/resume", url.Values{"password": {password}})
		thief.take(res, err).has(200, "E-mail address")
		if s := thief.visit("/"); strings.Contains(s.text(), "My clusters") {
			t.Errorf("%s opens the gate", name)
		}
	}
	// The owner still can.
	b.visit("/resume").submit(map[string]string{"password": password}).has(200, "My clusters")
}

// Signing out, revocation and a sign-in from the start leave nothing to resume.
func TestResume_NotAfterTheEnd(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *world, *browser){
		"sign out": func(t *testing.T, w *world, b *browser) { b.visit("/resume").press("End this session") },
		"sign out at cluster": func(t *testing.T, w *world, b *browser) {
			res, err := b.PostForm(claimsURL+reservedPrefix+"/logout", nil)
			b.take(res, err)
		},
		"end all": func(t *testing.T, w *world, b *browser) {
			if _, err := w.Auth.EndEverybody(t.Context(), auth.Actor{Account: auth.Operator}, ""); err != nil {
				t.Fatal(err)
			}
		},
		"vendor": func(t *testing.T, w *world, b *browser) {
			if _, err := w.Auth.EndVendor(t.Context(), auth.Actor{Account: auth.Operator}, "acme"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).enrolled("kim")
			b := w.browser()
			b.signIn("kim").visit(claimsURL+"/").has(200, "upstream")
			w.pass(31 * time.Minute)
			b.visit(gateURL+"/resume").has(200, "Welcome back")
			end(t, w, b)
			b.visit(gateURL+"/resume").has(200, "E-mail address").lacks("Welcome back")
			res, err := b.PostForm(gateURL+"/resume", url.Values{"password": {password}})
			b.take(res, err).has(200, "E-mail address")
			if _, ok := w.recorder.Last("session.resume"); ok {
				t.Error("it was resumed")
			}
		})
	}
}

// The sign-in page stays reachable for somebody else at the same browser.
func TestResume_OrFromTheStart(t *testing.T) {
	w := newWorld(t).enrolled("kim", "lee")
	b := w.browser()
	b.signIn("kim")
	w.pass(31 * time.Minute)
	b.visit("/").has(200, "Welcome back")
	for a := range elements(b.page, "a") {
		if strings.Contains(textOf(a), "Sign in from the start") {
			b.visit(attr(a, "href")).has(200, "E-mail address")
			b.submit(map[string]string{"email": "lee@example.com", "password": password})
			b.submit(map[string]string{"code": w.code("lee")}).has(200, "No cluster is open")
			// The session that was left behind has ended with that.
			if left, err := w.Auth.SessionsOf(t.Context(), "kim"); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			return
		}
	}
	t.Error("there is no way to sign in from the start")
}
