package console

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

const nextPassword = "copper lantern drifts homeward"

func TestPassword_ChangeEndsTheOtherSessions(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	here, there := w.browser(), w.browser()
	here.signIn("kim")
	w.pass(time.Minute)
	there.signIn("kim")
	fields := func(pairs ...string) map[string]string {
		m := map[string]string{"current": password, "password": nextPassword, "again": nextPassword, "others": "end"}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	here.visit("/password").has(200, "Change your password", "End my other sessions")
	here.submit(fields("again", "else")).has(422, "The two passwords differ")
	here.submit(fields("current", "wrong")).has(401, "That is not the password that you have")
	here.submit(fields("password", "password1234", "again", "password1234")).has(422, "among the ones tried first")
	here.submit(fields("password", password, "again", password)).has(422, "the password that you have")
	before := here.cookieValue(auth.SessionCookie)
	here.submit(fields()).has(200, "Your password is changed, and your other session has ended", "My notices", "Your password was changed")
	if here.cookieValue(auth.SessionCookie) == before {
		t.Error("the session's cookie is the one from before")
	}
	there.visit("/").has(200, "E-mail address")
	there.submit(map[string]string{"email": "kim@example.com", "password": password}).has(401, "not right")
	there.submit(map[string]string{"email": "kim@example.com", "password": nextPassword}).has(200, "Your code")
}

// A dangerous act: without a fresh code neither the form nor its post does anything.
func TestPassword_DemandsAFreshCode(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim")
	w.pass(16 * time.Minute)
	b.visit("/password").has(200, "Confirm that it is you")
	res, err := b.PostForm(gateURL+"/password", url.Values{"current": {password}, "password": {nextPassword}})
	b.take(res, err).has(403, "Give a fresh code first") // passwords are not kept meanwhile
	res, err = b.PostForm(gateURL+"/factors/recovery", nil)
	b.take(res, err).has(200, "Confirm that it is you")
	if n, err := w.Auth.RecoveryLeft(t.Context(), "kim"); err != nil || n != 10 {
		t.Fatal(n, err)
	}
	b.submit(map[string]string{"code": w.code("kim")}).has(200, "Make new recovery codes").press("Do it now").has(200, "recovery codes")
	b.visit("/password").has(200, "Change your password")
}

// A wrong password is slowed, and the form says for how long.
func TestPassword_Throttled(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim")
	for range 5 {
		b.visit("/password").submit(map[string]string{"current": "wrong", "password": nextPassword, "again": nextPassword}).has(401)
	}
	b.submit(map[string]string{"current": password, "password": nextPassword, "again": nextPassword}).has(http.StatusTooManyRequests, "Please wait 30 seconds")
	if b.last.Header.Get("Retry-After") != "30" {
		t.Errorf("Retry-After is %q", b.last.Header.Get("Retry-After"))
	}
}

func TestRecoveryCodes_Replaced(t *testing.T) {
	w := newWorld(t).enrolled("kim", "lee")
	b := w.browser()
	b.signIn("kim")
	b.visit("/factors/recovery/new").has(200, "codes are left") // nothing is shown
	res, err := b.PostForm(gateURL+"/factors/recovery", nil)
	b.take(res, err).has(200, "Your new recovery codes", "not shown a second time")
	var codes []string
	for c := range elements(b.page, "code") {
		codes = append(codes, textOf(c))
	}
	if len(codes) != 10 {
		t.Fatalf("%d codes", len(codes))
	}
	b.visit("/factors/recovery/new.txt").has(200, codes[0], codes[9])
	if cc := b.last.Header.Get("Cache-Control"); cc != "no-store" {
		t.Errorf("the codes may be stored: %q", cc)
	}
	// Nobody else sees them, another session of the same person included.
	for _, id := range []string{"lee", "kim"} {
		w.pass(time.Minute)
		other := w.browser()
		other.signIn(id)
		other.visit("/factors/recovery/new").lacks(codes[0])
		other.visit("/factors/recovery/new.txt").has(404)
	}
	b.visit("/factors/recovery/new").submit(map[string]string{"code": codes[7]}).has(200, "You have your recovery codes")
	b.visit("/factors/recovery/new").has(200, "codes are left").lacks(codes[0])
	b.visit("/notices").has(200, "Your recovery codes were replaced")
}
