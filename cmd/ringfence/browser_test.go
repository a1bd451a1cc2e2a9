package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A window is a real browser, signed out, that trusts the demo.
type window struct {
	t   testing.TB
	ctx context.Context
}

// chromium starts a browser. Its profile goes with the test.
func chromium(t testing.TB) *window {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes its time, and runs in the suite without -short")
	}
	exe := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			exe = path
			break
		}
	}
	if exe == "" {
		exe = need(t, "chromium", "chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(exe), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-quic", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.WindowSize(1280, 900))
	alloc, cancelAlloc := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancelAlloc)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if _, err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("starting the browser: %v", err)
	}
	return &window{t, ctx}
}

// do runs actions, and says on which page it failed.
func (w *window) do(actions ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		w.fail(err)
	}
}

func (w *window) fail(err error) {
	w.t.Helper()
	at, _ := chromedp.Run(w.ctx, chromedp.Location())
	text, _ := chromedp.Run(w.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	w.shoot("failure")
	w.t.Fatalf("in the browser at %s: %v\n%s", at, err, text)
}

// ask evaluates a JavaScript expression on the page.
func ask[T any](w *window, expression string) T {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		w.fail(err)
	}
	return v
}

// shoot keeps a picture of the page among the test's artifacts: wide, narrow, light and dark.
func (w *window) shoot(name string) {
	w.t.Helper()
	dir := os.Getenv("RINGFENCE_TEST_PICTURES")
	if dir == "" {
		dir = w.t.ArtifactDir()
	}
	for _, v := range []struct {
		suffix        string
		width, height int64
		scheme        string
	}{{"wide-light", 1280, 900, "light"}, {"wide-dark", 1280, 900, "dark"}, {"narrow-light", 390, 844, "light"}, {"narrow-dark", 390, 844, "dark"}} {
		_, err := chromedp.Call(w.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: v.width, Height: v.height, DeviceScaleFactor: 1})
		if err == nil {
			_, err = chromedp.Call(w.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}}})
		}
		var png []byte
		if err == nil { // colours fade from one scheme to the other
			_, err = chromedp.Run(w.ctx, chromedp.Sleep(300*time.Millisecond))
		}
		if err == nil {
			png, err = chromedp.Run(w.ctx, chromedp.FullScreenshot(100))
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+"-"+v.suffix+".png"), png, 0o600)
		}
		if err != nil {
			w.t.Logf("picture of %s: %v", name, err)
		}
	}
	_, _ = chromedp.Call(w.ctx, emulation.ClearDeviceMetricsOverride, cdp.Empty{}) // a picture alone depends on it
}

// fitsPhone fails when the page is wider than a phone.
func (w *window) fitsPhone(name string) {
	w.t.Helper()
	if _, err := chromedp.Call(w.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 360, Height: 740, DeviceScaleFactor: 1, Mobile: true}); err != nil {
		w.fail(err)
	}
	if width := ask[int64](w, `document.documentElement.scrollWidth`); width > 360 {
		w.t.Errorf("%s is %d pixels wide on a phone of 360", name, width)
	}
	if _, err := chromedp.Call(w.ctx, emulation.ClearDeviceMetricsOverride, cdp.Empty{}); err != nil {
		w.fail(err)
	}
}

func (w *window) at() *url.URL {
	w.t.Helper()
	return mustURL(w.t, ask[string](w, "location.href"))
}

func (w *window) text() string {
	w.t.Helper()
	return ask[string](w, "document.body.innerText")
}

// submit types into fields of the page's form by name and presses Enter in the last.
func (w *window) submit(fields ...string) {
	w.t.Helper()
	var sel chromedp.CSS
	for i := 0; i+1 < len(fields); i += 2 {
		sel = chromedp.CSS(fmt.Sprintf(`main [name=%q]`, fields[i]))
		w.do(chromedp.WaitVisible(sel))
		ask[any](w, fmt.Sprintf(`void (document.querySelector(%q).value = "")`, string(sel)))
		w.do(chromedp.SendKeys(sel, fields[i+1]))
	}
	w.follow(chromedp.SendKeys(sel, kb.Enter))
}

// follow does something that loads another page, and waits for it.
func (w *window) follow(actions ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, actions...); err != nil {
		w.fail(fmt.Errorf("loading the next page: %w", err))
	}
}

// press clicks the element that a JavaScript expression names, and waits for the next page.
func (w *window) press(expression string) {
	w.t.Helper()
	w.follow(func(ctx context.Context, _ *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[any]("void ("+expression+").click()"))
		return chromedp.Void{}, err
	})
}

func (w *window) open(target string) {
	w.t.Helper()
	w.follow(chromedp.Navigate(target))
}

// TestBrowser_SignInReachAndRefusal is a contractor's day: headed to a
// cluster, sign-in by keyboard, arrival, and a refusal that says why.
func TestBrowser_SignInReachAndRefusal(t *testing.T) {
	t.Parallel()
	w := chromium(t)
	p := startDemo(t)
	a := p.account(t, "kim@northwind.example")
	w.open(p.cluster(t, "claims") + "/claims/CL-20418")
	if w.at().Path != "/login" {
		t.Fatalf("an anonymous browser is at %s", w.at())
	}
	w.shoot("login")
	w.fitsPhone("the sign-in page")
	w.submit("email", a.Email, "password", "not the password")
	if w.at().Path != "/login" || !strings.Contains(w.text(), "not right") {
		t.Errorf("a wrong password leads to %s", w.at())
	}
	w.submit("email", a.Email, "password", a.Password)
	w.shoot("code")
	w.submit("code", code(t, a, 0))
	if at := w.at(); at.Host != mustURL(t, p.cluster(t, "claims")).Host || at.Path != "/claims/CL-20418" {
		t.Fatalf("after sign-in at %s", at)
	}
	if !strings.Contains(w.text(), "Claims desk") {
		t.Error("the cluster's page is not shown")
	}
	w.open(p.cluster(t, "billing") + "/")
	if text := w.text(); !strings.Contains(text, "Billing ledger") || !strings.Contains(text, "Ines Moreau") {
		t.Errorf("the refusal names neither cluster nor helper:\n%s", text)
	}
	w.shoot("refusal")
	w.fitsPhone("the refusal")
	w.open(p.ready.Gate + "/")
	if text := w.text(); !strings.Contains(text, "Claims desk") || strings.Contains(text, "Billing ledger") {
		t.Errorf("the portal shows the wrong clusters:\n%s", text)
	}
	w.shoot("portal")
	w.fitsPhone("the portal")
	for _, page := range []string{"/tokens", "/sessions"} {
		w.open(p.ready.Gate + page)
		w.shoot("portal" + strings.ReplaceAll(page, "/", "-"))
		w.fitsPhone(page)
	}
}

// TestBrowser_Enrolment takes an invitation from its link to the cluster.
func TestBrowser_Enrolment(t *testing.T) {
	t.Parallel()
	w := chromium(t)
	p := startDemo(t)
	link := strings.TrimSpace(ringfence(t, "account", "invite", "new@northwind.example", "--name", "Nadia Weiss", "--vendor", "northwind",
		"--ends", time.Now().AddDate(0, 1, 0).Format(time.DateOnly), "--data", p.ready.Data))
	p.grant(t, "new@northwind.example", "claims", "northwind-2026")
	w.open(link)
	w.shoot("invitation")
	w.open(link) // opening it, again too, consumes nothing
	w.submit("password", "password1234", "again", "password1234")
	if w.at().Path != "/enrol" {
		t.Fatalf("a common password was accepted: at %s", w.at())
	}
	w.submit("password", "wide river, slow clock", "again", "wide river, slow clock")
	w.shoot("authenticator")
	w.fitsPhone("the authenticator page")
	me := demoAccount{OTPAuth: ask[string](w, `document.querySelector('a[href^="otpauth:"]').href`)}
	w.submit("code", code(t, me, 0))
	w.shoot("recovery")
	w.submit("code", "aaaaa-aaaaa-aaa")
	if w.at().Path != "/enrol/recovery" {
		t.Fatalf("the recovery codes need not be noted: at %s", w.at())
	}
	w.submit("code", ask[string](w, `document.querySelector(".recovery-codes code").textContent`))
	if w.at().Path != "/agreements" {
		t.Fatalf("after the recovery codes at %s", w.at())
	}
	w.shoot("agreements")
	w.fitsPhone("the agreements page")
	w.do(chromedp.Click(chromedp.CSS(`main form input[type="checkbox"]`)))
	w.submit("name", "Nadia Weiss")
	if w.at().Path != "/" || !strings.Contains(w.text(), "Claims desk") {
		t.Fatalf("after the agreement at %s:\n%s", w.at(), w.text())
	}
	w.open(p.cluster(t, "claims") + "/")
	if !strings.Contains(w.text(), "new@northwind.example") {
		t.Errorf("the cluster does not know the new account:\n%s", w.text())
	}
	w.open(link)
	if !strings.Contains(w.text(), "no longer good") {
		t.Error("the link works twice")
	}
}

// grant assigns a cluster under an engagement.
func (p *process) grant(t testing.TB, email, cluster, engagement string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "grant.yaml")
	now := time.Now().UTC()
	text := fmt.Sprintf("version: 1\nassignments:\n  - {account: %s, cluster: %s, engagement: %s, starts: %s, ends: %s, access: write, reason: new on the team}\n",
		email, cluster, engagement, now.AddDate(0, 0, -1).Format(time.DateOnly), now.AddDate(0, 0, 10).Format(time.DateOnly))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ringfence(t, "apply", "-f", file, "--data", p.ready.Data)
}

// TestBrowser_Console is an administrator's and a reviewer's day.
func TestBrowser_Console(t *testing.T) {
	t.Parallel()
	w := chromium(t)
	p := startDemo(t)
	kim := p.signIn(t, "kim@northwind.example", 0)
	kim.get(p.cluster(t, "claims") + "/claims/CL-20418")
	kim.get(p.cluster(t, "billing")+"/invoices", "User-Agent", "<script>document.title='owned'</script>")

	w.signIn(p, "ada@harbour.example")
	for _, page := range []string{"/console/", "/console/people", "/console/vendors", "/console/engagements", "/console/clusters", "/console/assignments", "/console/log"} {
		w.open(p.ready.Gate + page)
		if text := w.text(); strings.Contains(text, "went wrong") {
			t.Errorf("%s:\n%s", page, text)
		}
		w.shoot("console" + strings.ReplaceAll(strings.TrimPrefix(page, "/console"), "/", "-"))
		w.fitsPhone(page)
	}
	// Disabling an account by keyboard and form ends its session at once.
	w.open(p.ready.Gate + "/console/people")
	w.press(`[...document.querySelectorAll('main a')].find(a => a.textContent.includes('Kim Larsen'))`)
	w.shoot("console-person")
	w.press(`document.querySelector('main a[href$="/disable"]')`)
	w.shoot("console-disable")
	w.press(`document.querySelector('main form button')`)
	w.shoot("console-person-disabled")
	kim.accept = "application/json"
	eventually(t, 2*time.Second, "the disabled account is refused", func() bool { return kim.get(p.cluster(t, "claims")+"/").status == 401 })

	// The reviewer finds the denied request, and what the attacker sent stays text.
	r := chromium(t)
	r.signIn(p, "cleo@harbour.example")
	r.open(p.ready.Gate + "/console/log?effect=deny")
	if !strings.Contains(r.text(), "/invoices") {
		t.Errorf("the denied request is not listed:\n%s", r.text())
	}
	r.press(`[...document.querySelectorAll('main a')].find(a => /\/console\/log\/\d+$/.test(a.href))`)
	r.shoot("console-entry")
	if ask[string](r, "document.title") == "owned" {
		t.Error("a recorded user agent ran as a script")
	}
	if !strings.Contains(r.text(), "no_assignment") {
		t.Errorf("the entry does not give its reason:\n%s", r.text())
	}
}

func (w *window) signIn(p *process, email string) {
	w.t.Helper()
	a := p.account(w.t, email)
	w.open(p.ready.Gate + "/login")
	w.submit("email", a.Email, "password", a.Password)
	w.submit("code", code(w.t, a, 0))
	if w.at().Path != "/" && !strings.HasPrefix(w.at().Path, "/console") {
		w.t.Fatalf("%s is at %s", email, w.at())
	}
}
