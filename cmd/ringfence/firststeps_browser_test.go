package main

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A walk counts what a person meets on the way.
type walk struct {
	*window
	pages  []string // by path
	inputs int      // that are empty and must not stay so
}

// step takes in the page that is shown and says how many inputs it demands.
func (k *walk) step(name, path string, inputs int) {
	k.t.Helper()
	if at := k.at(); at.Path != path {
		k.t.Fatalf("the step %q is at %s:\n%s", name, at, k.text())
	}
	k.look("walk-" + name)
	demanded := ask[int](k.window, `[...document.querySelectorAll("main form:first-of-type :is(input, select, textarea)")].filter(e => e.required && e.checkVisibility() && (e.type === "checkbox" ? !e.checked : !e.value)).length`)
	if demanded != inputs {
		k.t.Errorf("the step %q demands %d inputs, not %d", name, demanded, inputs)
	}
	k.pages, k.inputs = append(k.pages, path), k.inputs+demanded
}

// invited makes an account with an assignment and opens its invitation.
func (k *walk) invited(p *process, email string) {
	k.t.Helper()
	link := strings.TrimSpace(ringfence(k.t, "account", "invite", email, "--name", "Nadia Weiss", "--vendor", "northwind",
		"--ends", time.Now().AddDate(0, 1, 0).Format(time.DateOnly), "--data", p.ready.Data))
	p.grant(k.t, email, "claims", "northwind-2026")
	k.open(link)
	k.step("invitation", "/enrol", 2)
	k.submit("password", "wide river, slow clock", "again", "wide river, slow clock")
	k.step("authenticator", "/enrol/authenticator", 1)
	k.submit("code", code(k.t, k.scanned(), 0))
	k.step("recovery", "/enrol/recovery", 1)
}

// scanned is what an app knows once it has seen the picture.
func (k *walk) scanned() demoAccount {
	k.t.Helper()
	return demoAccount{OTPAuth: ask[string](k.window, `document.querySelector('a[href^="otpauth:"]').href`)}
}

func (k *walk) noted() string {
	k.t.Helper()
	return ask[string](k.window, `document.querySelector(".recovery-codes code").textContent`)
}

// TestBrowser_FirstStepsAreFew goes from an invitation's link to the first page
// of a cluster. Six pages with six inputs take a person less than three
// minutes: two passwords, a code, a recovery code, a box and a name.
func TestBrowser_FirstStepsAreFew(t *testing.T) {
	t.Parallel()
	p := startDemo(t)
	k := &walk{window: chromium(t)}
	k.invited(p, "first@northwind.example")
	k.submit("code", k.noted())
	k.step("agreement", "/agreements", 2)
	k.do(chromedp.Click(chromedp.CSS(`main form input[type="checkbox"]`)))
	k.submit("name", "Nadia Weiss")
	k.step("portal", "/", 0)
	k.press(`document.querySelector("main .cluster a.button")`)
	k.step("cluster", "/", 0)
	if at := k.at(); at.Host != mustURL(t, p.cluster(t, "claims")).Host || !strings.Contains(k.text(), "first@northwind.example") {
		t.Errorf("the walk ends at %s:\n%s", at, k.text())
	}
	if len(k.pages) != 6 || k.inputs != 6 {
		t.Errorf("there are %d pages %q with %d inputs", len(k.pages), k.pages, k.inputs)
	}
}

// TestBrowser_FirstStepsWithSpares takes every offer on the way: a second
// device, and a security key. They add three pages and a code.
func TestBrowser_FirstStepsWithSpares(t *testing.T) {
	t.Parallel()
	p := startDemo(t)
	k := &walk{window: chromium(t)}
	k.plugIn()
	k.invited(p, "spare@northwind.example")
	k.press(`document.querySelector('main a[href="/enrol/devices"]')`)
	k.step("second-device", "/enrol/devices", 0)
	k.submit("name", "Tablet")
	k.step("second-device-scan", "/enrol/devices", 1)
	k.submit("code", code(t, k.scanned(), 0))
	if text := k.text(); !strings.Contains(text, "Tablet is connected") {
		t.Fatalf("after the second device:\n%s", text)
	}
	k.do(chromedp.SendKeys(chromedp.CSS(`main [name="code"]`), k.noted()))
	k.press(`document.querySelector('main button[value="key"]')`)
	k.do(chromedp.WaitVisible(chromedp.CSS(`form[data-key] button`)))
	k.step("key", "/factors/keys/new", 0)
	k.useKey()
	k.look("walk-key-try")
	k.useKey() // once, to see that it works
	k.step("agreement-after-key", "/agreements", 2)
	k.do(chromedp.Click(chromedp.CSS(`main form input[type="checkbox"]`)))
	k.submit("name", "Nadia Weiss")
	k.press(`document.querySelector("main .cluster a.button")`)
	if at := k.at(); at.Host != mustURL(t, p.cluster(t, "claims")).Host {
		t.Errorf("the walk ends at %s:\n%s", at, k.text())
	}
	if len(k.pages) != 7 || k.inputs != 7 {
		t.Errorf("there are %d pages %q with %d inputs", len(k.pages), k.pages, k.inputs)
	}
}
