package console

import (
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// looks keeps pictures of the page, wide and narrow, light and dark, and fails
// when it needs scrolling sideways.
func (b *tab) looks(name string) {
	b.t.Helper()
	dir := os.Getenv("RINGFENCE_TEST_PICTURES")
	if dir == "" {
		dir = b.t.ArtifactDir()
	}
	for suffix, v := range map[string]struct {
		width  int64
		scheme string
	}{"wide-light": {1280, "light"}, "wide-dark": {1280, "dark"}, "narrow-light": {390, "light"}, "narrow-dark": {390, "dark"}} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}}}
		if _, err := chromedp.Call(b.Context, emulation.SetEmulatedMedia, media); err != nil {
			b.fatal(err)
		}
		b.do(chromedp.EmulateViewport(v.width, 900), chromedp.WaitVisible(chromedp.CSS("main")))
		// Colours fade from one scheme to the other.
		if _, err := chromedp.Run(b.Context, chromedp.Poll[bool](`document.getAnimations().length === 0`)); err != nil {
			b.fatal(err)
		}
		if wide := evaluate[float64](b, `document.documentElement.scrollWidth`); wide > float64(v.width) {
			b.t.Errorf("%s is %v pixels wide on a screen of %d", name, wide, v.width)
		}
		png, err := chromedp.Run(b.Context, chromedp.FullScreenshot(100))
		if err != nil {
			b.fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+"-"+suffix+".png"), png, 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	if _, err := chromedp.Call(b.Context, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{}); err != nil {
		b.fatal(err)
	}
	if _, err := chromedp.Call(b.Context, emulation.ClearDeviceMetricsOverride, cdp.Empty{}); err != nil {
		b.fatal(err)
	}
}

// TestBrowser_StepUpAndResume is an afternoon: a form that waits for a code,
// a break, and the password alone to go on; by keyboard.
func TestBrowser_StepUpAndResume(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := newTab(t, w)
	b.do(chromedp.Navigate(gateURL + "/login"))
	b.sees("Sign in")
	b.do(chromedp.KeyEvent("kim@example.com"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(password), chromedp.KeyEvent(kb.Enter))
	b.sees("Your code")
	b.do(chromedp.KeyEvent(w.code("kim")), chromedp.KeyEvent(kb.Enter))
	b.sees("Claims archive")
	b.looks("portal")

	w.pass(20 * time.Minute)
	b.do(chromedp.Navigate(gateURL + "/tokens"))
	b.sees("Make a token")
	b.do(chromedp.Focus(`input[name=name]`), chromedp.KeyEvent("March import"), chromedp.KeyEvent(kb.Enter))
	b.sees("It is kept for ten minutes")
	b.looks("confirm-kept")
	b.do(chromedp.KeyEvent(w.code("kim")), chromedp.KeyEvent(kb.Enter))
	b.sees("Make a token?")
	b.sees("March import")
	b.looks("step-up")
	waits := evaluate[string](b, "location.href")
	b.do(chromedp.Focus(`main form button`), chromedp.KeyEvent(kb.Enter))
	b.sees("it is not shown again")
	if n := tokensOf(t, w); n != 1 {
		t.Errorf("%d tokens were made", n)
	}
	b.do(chromedp.Navigate(waits))
	b.sees("Nothing waits here")
	b.looks("step-up-gone")

	b.do(chromedp.Navigate(claimsURL + "/reports"))
	b.sees("upstream claims.test /reports")
	w.pass(31 * time.Minute)
	b.do(chromedp.Navigate(claimsURL + "/reports?page=2"))
	b.sees("Welcome back")
	b.looks("resume")
	b.do(chromedp.Focus(`input[name=password]`), chromedp.KeyEvent("not this one"), chromedp.KeyEvent(kb.Enter))
	b.sees("The password is not right")
	b.looks("resume-wrong")
	b.do(chromedp.Focus(`input[name=password]`), chromedp.KeyEvent(password), chromedp.KeyEvent(kb.Enter))
	b.sees("upstream claims.test /reports?page=2")
	b.do(chromedp.Navigate(gateURL + "/sessions"))
	b.sees("Opened: Claims archive")
	b.looks("sessions")
	b.quiet()
}

// TestBrowser_EverybodysSessions lists and ends them, with a word that has to be typed.
func TestBrowser_EverybodysSessions(t *testing.T) {
	o := newOffice(t, plainText)
	var who atomic.Value
	who.Store("ada")
	b := newTab(t, http.HandlerFunc(o.signedIn(&who).ServeHTTP))
	b.do(chromedp.Navigate(officeGate + "/console/sessions"))
	b.sees("Where everybody is signed in")
	b.looks("everybody")
	b.do(chromedp.Navigate(officeGate + "/console/vendors/acme"))
	b.sees("End all sessions")
	b.looks("vendor-sessions")
	b.do(chromedp.Navigate(officeGate + "/console/engagements/migration/edit"))
	b.sees("Paused when not used for")
	b.looks("engagement-limits")
	b.do(chromedp.Navigate(officeGate + "/console/sessions/end"))
	b.sees("Type the word everybody")
	b.do(chromedp.Focus(`input[name=word]`), chromedp.KeyEvent("everyone"), chromedp.KeyEvent(kb.Enter))
	b.sees("so that this does not happen by mistake")
	b.looks("ask-everybody")
	evaluate[any](b, `void document.querySelector("input[name=word]").select()`)
	b.do(chromedp.KeyEvent("everybody"), chromedp.KeyEvent(kb.Enter))
	b.sees("sessions ended.")
	b.quiet()
	if len(o.sessions(t)) != 1 {
		t.Errorf("%d sessions are left", len(o.sessions(t)))
	}
}
