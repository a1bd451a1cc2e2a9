package main

import (
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// visit opens a page, which must fit a phone, and keeps pictures of it when
// they are asked for.
func (w *window) visit(name, target string) {
	w.t.Helper()
	w.open(target)
	w.look(name)
}

func (w *window) look(name string) {
	w.t.Helper()
	if text := w.text(); strings.Contains(text, "went wrong") {
		w.t.Errorf("%s:\n%s", name, text)
	}
	w.fitsPhone(name)
	if os.Getenv("RINGFENCE_TEST_PICTURES") != "" {
		w.shoot(name)
	}
}

func (w *window) signOut() {
	w.t.Helper()
	w.press(`document.querySelector('.person form button')`)
}

// href returns the address of the first link in the page's contents that a
// JavaScript condition on a fits.
func (w *window) href(condition string) string {
	w.t.Helper()
	return ask[string](w, `[...document.querySelectorAll('main a')].find(a => `+condition+`)?.href ?? ""`)
}

// everyItemOnAPhone opens the navigation of a phone by keyboard and fails
// unless all of its items can be seen without scrolling sideways.
func (w *window) everyItemOnAPhone() {
	w.t.Helper()
	if _, err := chromedp.Call(w.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 360, Height: 740, DeviceScaleFactor: 1, Mobile: true}); err != nil {
		w.fail(err)
	}
	w.do(chromedp.Focus(chromedp.CSS(".side summary")), chromedp.KeyEvent(kb.Enter))
	items := ask[int](w, `new Set([...document.querySelectorAll(".side a")].map(a => a.href)).size`)
	seen := ask[int](w, `[...document.querySelectorAll(".side a")].map(a => a.getBoundingClientRect()).filter(b => b.height >= 40 && b.left >= 0 && b.right <= 360).length`)
	if items == 0 || seen != items {
		w.t.Errorf("a phone shows %d of the navigation's %d items", seen, items)
	}
	if os.Getenv("RINGFENCE_TEST_PICTURES") != "" {
		w.shoot("navigation")
	}
	if _, err := chromedp.Call(w.ctx, emulation.ClearDeviceMetricsOverride, cdp.Empty{}); err != nil {
		w.fail(err)
	}
}

// TestBrowser_ContractorsPages shows what a contractor meets beside the
// ordinary day: a token, a fresh code, an agreement, and access that is over.
func TestBrowser_ContractorsPages(t *testing.T) {
	t.Parallel()
	w := chromium(t)
	p := startDemo(t)
	w.signIn(p, "kim@northwind.example")
	w.open(p.ready.Gate + "/tokens")
	w.submit("name", "nightly export")
	if !strings.Contains(w.text(), "not shown again") {
		t.Fatalf("no token is shown:\n%s", w.text())
	}
	w.look("token-made")
	w.visit("confirm", p.ready.Gate+"/confirm?"+url.Values{"next": {"/tokens"}}.Encode())
	w.visit("agreements-accepted", p.ready.Gate+"/agreements")
	w.visit("agreement", p.ready.Gate+"/agreements/confidentiality")
	w.visit("error-contractor", p.ready.Gate+"/console/people")
	w.open(p.ready.Gate + "/")
	w.signOut()
	w.look("signed-out")
	w.signIn(p, "rio@meridian.example")
	w.visit("portal-empty", p.ready.Gate+"/")
	w.visit("tokens-none", p.ready.Gate+"/tokens")
	w.visit("refusal-ended", p.cluster(t, "claims")+"/claims")
	if text := w.text(); !strings.Contains(text, "ended") {
		t.Errorf("the refusal does not say that the engagement ended:\n%s", text)
	}
}

// TestBrowser_AdministratorsPages opens every page and form of the console
// that TestBrowser_Console does not.
func TestBrowser_AdministratorsPages(t *testing.T) {
	t.Parallel()
	w := chromium(t)
	p := startDemo(t)
	w.signIn(p, "ada@harbour.example")
	console := p.ready.Gate + "/console"
	for _, page := range []struct{ name, path string }{
		{"people-no-result", "/people?text=nobody"}, {"person-invite", "/people/invite"},
		{"vendor", "/vendors/meridian"}, {"vendor-new", "/vendors/new"}, {"vendor-edit", "/vendors/meridian/edit"}, {"vendor-suspend", "/vendors/meridian/suspend"},
		{"engagement", "/engagements/northwind-2026"}, {"engagement-ended", "/engagements/meridian-audit"}, {"engagement-new", "/engagements/new"},
		{"engagement-edit", "/engagements/northwind-2026/edit"}, {"engagement-close", "/engagements/northwind-2026/close"},
		{"cluster", "/clusters/claims"}, {"cluster-new", "/clusters/new"}, {"cluster-edit", "/clusters/claims/edit"},
		{"assignment-new", "/assignments/new"}, {"assignments-no-result", "/assignments?text=nobody"},
		{"log-no-result", "/log?text=nothing-like-it"}, {"log-faults", "/log?from=yesterday&effect=maybe"}, {"log-more", "/log?method=GET"}, {"error-missing", "/people/nobody"},
	} {
		w.visit(page.name, console+page.path)
	}
	w.everyItemOnAPhone()
	w.open(console + "/assignments")
	at := w.href(`a.textContent.startsWith("Details")`)
	w.visit("assignment", at)
	w.visit("assignment-edit", at+"/edit")
	w.visit("assignment-end", at+"/end")
	w.open(console + "/people?text=kim")
	at = w.href(`a.textContent.includes("Kim Larsen")`)
	w.visit("person-edit", at+"/edit")
	w.visit("person-reset", at+"/reset")
	w.open(console + "/people")
	w.visit("person-self", w.href(`a.textContent.includes("Ada Berg")`))

	w.open(console + "/people/invite?vendor=northwind")
	ask[any](w, `void (document.querySelector("main form.edit").noValidate = true)`)
	w.submit("name", "", "email", "no address")
	w.look("person-invite-faults")
	w.open(console + "/people/invite?vendor=northwind")
	ask[any](w, `void (document.querySelector('main [name="ends"]').value = "`+time.Now().AddDate(0, 1, 0).Format(time.DateOnly)+`")`)
	w.submit("name", "Nadia Weiss", "email", "nadia@northwind.example")
	w.look("invitation-link")
	if !strings.Contains(w.text(), "It is not shown again") {
		t.Errorf("no link is shown:\n%s", w.text())
	}

	w.open(console + "/vendors/meridian/suspend")
	w.submit("reason", "The contract is under review")
	w.look("vendor-suspended")
	w.signOut()
	w.signIn(p, "ben@harbour.example")
	w.visit("approver-overview", console+"/")
	w.signOut()
	w.signIn(p, "cleo@harbour.example")
	w.visit("reviewer-cluster", console+"/clusters/claims")
	w.visit("reviewer-refused", console+"/vendors/new")
}
