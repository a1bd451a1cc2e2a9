package console

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

func (w *world) invite(id string) string {
	w.t.Helper()
	link, _, err := w.Auth.Invite(context.Background(), auth.Actor{Account: auth.Operator}, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return link
}

func TestEnrolment_FromInvitationToCluster(t *testing.T) {
	w := newWorld(t)
	link := w.invite("lee")
	b := w.browser()
	b.visit(link).has(200, "Welcome, Lee Moreau", "lee@example.com", "about three minutes", "At least 12 characters")
	// Opening it, as mail scanners do, must not consume it.
	w.browser().visit(link).has(200, "Welcome, Lee Moreau")

	b.submit(map[string]string{"password": "short", "again": "short"}).has(422, "Use at least 12 characters.").lacks(`value="short"`)
	b.submit(map[string]string{"password": password, "again": password + "x"}).has(422, "The two passwords differ")
	b.submit(map[string]string{"password": password, "again": password}).has(200, "Connect your authenticator app")
	w.browser().visit(link).has(http.StatusGone, "no longer good")

	var secret, uri string
	for c := range elements(b.page, "code") {
		secret = attr(c, "data-copy")
	}
	for a := range elements(b.page, "a") {
		if strings.HasPrefix(attr(a, "href"), "otpauth://totp/") {
			uri = attr(a, "href")
		}
	}
	if secret == "" || !strings.Contains(uri, secret) {
		t.Fatalf("the page shows secret %q and link %q", secret, uri)
	}
	step := b.at.String()
	b.visit("/enrol/qr.png").has(200)
	if _, err := png.Decode(bytes.NewReader([]byte(b.body))); err != nil || b.last.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the QR code is no picture that is never stored: %v, %q", err, b.last.Header)
	}
	b.visit(step).submit(map[string]string{"code": "000000"}).has(http.StatusUnauthorized, "That code is not right")
	// Steps cannot be skipped.
	b.visit("/enrol/recovery").has(200, "Connect your authenticator app")
	b.submit(map[string]string{"code": codeAt(t, secret, w.clock())}).has(200, "Keep your recovery codes").lacks(secret)

	var codes []string
	for li := range elements(b.page, "li") {
		for c := range elements(li, "code") {
			codes = append(codes, textOf(c))
		}
	}
	if len(codes) != 10 {
		t.Fatalf("there are %d recovery codes, want 10", len(codes))
	}
	recovery := b.at.String()
	b.visit("/enrol/recovery.txt").has(200, codes[0], codes[9])
	if d := b.last.Header.Get("Content-Disposition"); !strings.HasPrefix(d, "attachment") {
		t.Fatalf("the codes are not offered as a file: %q", d)
	}
	b.visit("/enrol/qr.png").has(http.StatusNotFound)
	b.visit(recovery).submit(map[string]string{"code": "aaaaa-aaaaa-aaa"}).has(422, "not one of the codes on this page")
	b.submit(map[string]string{"code": strings.ToUpper(codes[9])}).has(200, "My clusters", "No cluster is open to you now", "Ines Okafor answers for Acme Analytics")
	b.visit("/enrol/recovery").has(http.StatusGone)

	w.pass(time.Minute)
	again := w.browser()
	again.visit(gateURL + "/login").submit(map[string]string{"email": "lee@example.com", "password": password})
	again.submit(map[string]string{"code": codes[3]}).has(200, "Your new recovery code", "It is not shown a second time")
	renewed := textOf(slices.Collect(elements(again.page, "code"))[0])
	again.visit("/factors/recovery/new.txt").has(200, renewed)
	again.visit("/").visit("/factors/recovery/new").submit(map[string]string{"code": codes[4]}).has(422, "not one of the codes on this page")
	again.submit(map[string]string{"code": strings.ToUpper(renewed)}).has(200, "codes are left", "10")
	again.visit("/factors/recovery/new.txt").has(404)
	again.visit("/").has(200, "My clusters", "You signed in last on", "You have 10 recovery codes left", "A recovery code was used")
}

func TestEnrolment_PlainClientWithoutRepeat(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.visit(w.invite("rae"))
	res, err := b.PostForm(gateURL+"/enrol", map[string][]string{"invite": {attrOf(b, "invite")}, "password": {password}})
	b.take(res, err).has(200, "Connect your authenticator app")
}

func TestEnrolment_InvalidInvitations(t *testing.T) {
	w := newWorld(t)
	for _, token := range []string{"", "x", strings.Repeat("a", 5000), "%00", "<script>"} {
		b := w.browser()
		res, err := b.Get(gateURL + "/enrol?invite=" + strings.ReplaceAll(token, "%", "%25"))
		b.take(res, err).has(http.StatusGone, "no longer good").lacks("<script>")
	}
	w.browser().visit(gateURL+"/enrol").has(http.StatusGone, "nothing to set up")
	link := w.invite("lee")
	w.pass(25 * time.Hour)
	w.browser().visit(link).has(http.StatusGone, "no longer good")
}

func TestAgreements_AcceptedBeforeThePortal(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	w.dir.accepted[0].Version = 1
	b := w.browser()
	b.visit(claimsURL + "/x").submit(map[string]string{"email": "kim@example.com", "password": password})
	b.submit(map[string]string{"code": w.code("kim")}).has(200, "Non-disclosure agreement", "version 2", "has changed since you accepted version 1", "What is confidential")
	b.submit(map[string]string{"name": "Kim Larsen"}).has(422, "Tick the box")
	b.submit(map[string]string{"name": "", "accept": "yes"}).has(422, "Type your name")
	b.submit(map[string]string{"name": "Mickey Mouse", "accept": "yes"}).has(422, "not the name of your account")
	b.submit(map[string]string{"name": "Kim Larsen", "accept": "yes", "version": "1"}).has(409, "has changed while you were reading")
	if len(w.dir.accepted) != 1 {
		t.Fatal("something was accepted that must not be")
	}
	b.submit(map[string]string{"name": "  kim   LARSEN ", "accept": "yes"}).has(200, "upstream claims.test /x")
	a := w.dir.accepted[1]
	if a.Account != "kim" || a.Agreement != "nda" || a.Version != 2 || !a.At.Equal(w.clock()) || a.IP != "198.51.100.24" || a.TypedName != "kim   LARSEN" || !strings.HasPrefix(a.Hash, "sha256:") {
		t.Fatalf("accepted %+v", a)
	}
	b.visit(gateURL+"/agreements").has(200, "You have accepted everything", "Non-disclosure agreement")
	b.visit("/agreements/nda").has(200, "You accepted version 2")
	b.visit("/agreements/other").has(http.StatusNotFound)
}

func TestAgreements_NotAcceptedWhenNotRecorded(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	w.dir.accepted = nil
	w.dir.fail = errors.New("disk full at /secret/path")
	b := w.browser()
	b.signIn("kim").submit(map[string]string{"name": "Kim Larsen", "accept": "yes"}).has(http.StatusServiceUnavailable).lacks("disk", "/secret")
}
