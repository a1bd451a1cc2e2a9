package console

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/ringfence/ringfence/policy"
)

// A tab is a page in a real browser. What the browser complains about, such as
// something that the content security policy stopped, is kept.
type tab struct {
	context.Context
	t *testing.T

	mu         sync.Mutex
	complaints []string
}

// newTab opens a browser for which every *.test host is the handler's server.
// The test is skipped where no browser is installed, unless
// RINGFENCE_TEST_REQUIRE=all demands one.
func newTab(t *testing.T, handler http.Handler) *tab {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	if !slices.ContainsFunc([]string{"chromium", "chromium-browser", "google-chrome", "headless-shell"}, func(name string) bool { _, err := exec.LookPath(name); return err == nil }) {
		if os.Getenv("RINGFENCE_TEST_REQUIRE") == "all" {
			t.Fatal("no browser is installed")
		}
		t.Skip("no browser is installed")
	}
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.IgnoreCertErrors,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("host-resolver-rules", "MAP *.test:8443 "+server.Listener.Addr().String()+", MAP * ~NOTFOUND"))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(func() { chromedp.Cancel(ctx); cancel() })
	b := &tab{Context: ctx, t: t}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// listen keeps what the browser complains about.
func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		// That a page has an error status is no complaint.
		if e.Entry.Source != log.EntrySourceNetwork {
			b.complaints = append(b.complaints, string(e.Entry.Source)+": "+e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, "exception: "+e.ExceptionDetails.Text)
	case *page.EventJavascriptDialogOpening:
		b.complaints = append(b.complaints, "dialog: "+e.Message)
		go chromedp.Call(b.Context, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
	}
}

// do runs the actions within half a minute.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.Context, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.fatal(err)
	}
}

// fatal ends the test with what the page shows.
func (b *tab) fatal(why any) {
	b.t.Helper()
	at, _ := chromedp.Run(b.Context, chromedp.Location())
	text, _ := chromedp.Run(b.Context, chromedp.Evaluate[string]("document.body?.innerText"))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t.Fatalf("at %s: %v\n%s\n%q", at, why, text, b.complaints)
}

// evaluate returns the value of an expression in the page.
func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.Context, chromedp.Evaluate[T](expression))
	if err != nil {
		b.fatal(err)
	}
	return v
}

// sees waits until the page, or the one that follows it, shows text.
func (b *tab) sees(text string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.Context, 20*time.Second)
	defer cancel()
	for {
		_, err := chromedp.Run(ctx, chromedp.Poll[bool](fmt.Sprintf("document.body?.innerText.includes(%q)", text)))
		if err == nil {
			return
		}
		if ctx.Err() != nil { // any other error is a page that gave way to the next
			b.fatal(fmt.Sprintf("there is no %q", text))
		}
	}
}

func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) > 0 {
		b.t.Errorf("the browser complains: %q", b.complaints)
	}
}

// picture keeps what the page looks like beside the test's other artifacts.
func (b *tab) picture(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.Context, chromedp.FullScreenshot(100))
	if err != nil {
		b.fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// TestBrowser_KeyboardFromClusterToSignOut signs in on the way to a cluster
// with the keyboard alone, which also shows that the browser follows the
// redirects across hosts that the content security policy names.
func TestBrowser_KeyboardFromClusterToSignOut(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	w.dir.accepted = nil
	b := newTab(t, w)
	b.do(chromedp.Navigate(claimsURL + "/reports?year=2025"))
	b.sees("Then you go on to claims.test")
	b.do(chromedp.KeyEvent("kim@example.com"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(password), chromedp.KeyEvent(kb.Enter))
	b.sees("Your code")
	b.do(chromedp.KeyEvent(w.code("kim")), chromedp.KeyEvent(kb.Enter))
	b.sees("Non-disclosure agreement")
	b.do(chromedp.Focus(`input[name=name]`), chromedp.KeyEvent("Kim Larsen"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(" "), chromedp.KeyEvent(kb.Enter))
	b.sees("upstream claims.test /reports?year=2025 for kim@example.com")

	w.refusal = func(_ string, r *http.Request, s policy.Subject) *policy.Refusal {
		f := refusalOf(http.StatusForbidden, policy.Deny, policy.ReasonPathOutOfScope, "This path is not yours.")
		f.Subject = s
		return &f
	}
	b.do(chromedp.Navigate(claimsURL + "/other"))
	b.sees("This path is not yours.")
	b.picture("refused")
	b.do(chromedp.Focus("header button"), chromedp.KeyEvent(kb.Enter))
	b.sees("You are signed out")
	b.quiet()
}

func TestBrowser_Enrolment(t *testing.T) {
	w := newWorld(t)
	b := newTab(t, w)
	b.do(chromedp.Navigate(w.invite("lee")))
	b.sees("Welcome, Lee Moreau")
	b.do(chromedp.SendKeys(`input[name=password]`, password), chromedp.SendKeys(`input[name=again]`, password), chromedp.Click(`[data-reveal] input`))
	kinds := evaluate[[]string](b, `[...document.querySelectorAll("input[name=password], input[name=again]")].map(e => e.type)`)
	if !slices.Equal(kinds, []string{"text", "text"}) {
		t.Errorf("the shown passwords are of the types %q", kinds)
	}
	b.do(chromedp.Submit(`input[name=password]`))
	b.sees("Connect your authenticator app")
	secret := evaluate[string](b, `document.querySelector(".secret code").dataset.copy`)
	width, err := chromedp.Run(b.Context, chromedp.Poll[float64](`document.querySelector("img").naturalWidth`))
	if err != nil || width < 100 {
		t.Errorf("the QR code is %v pixels wide, %v", width, err)
	}
	b.do(chromedp.SendKeys(`input[name=code]`, codeAt(t, secret, w.clock())+kb.Enter))
	b.sees("Keep your recovery codes")
	b.sees("Print")
	if _, err := chromedp.Call(b.Context, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}); err != nil {
		t.Fatal(err)
	}
	printed := evaluate[string](b, `document.body.innerText`)
	if !strings.Contains(printed, "lee@example.com at gate.test") || strings.Contains(printed, "Finish") || strings.Contains(printed, "Download") {
		t.Errorf("what is printed is:\n%s", printed)
	}
	b.picture("recovery-print")
	if _, err := chromedp.Call(b.Context, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{}); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.SendKeys(`input[name=code]`, evaluate[string](b, `document.querySelector(".recovery-codes code").textContent`)+kb.Enter))
	b.sees("No cluster is open to you now")
	b.quiet()
}

// TestBrowser_PagesFitAndStayInert opens every page, with ordinary and with
// hostile text, on screens from 320 to 1600 pixels: nothing runs, nothing is
// stopped by the content security policy, and nothing needs scrolling sideways.
func TestBrowser_PagesFitAndStayInert(t *testing.T) {
	u := newRenderer(t)
	variants := map[string][]sample{"plain": gateSamples(plainText)}
	for i, bad := range hostile {
		variants[fmt.Sprint("hostile", i)] = gateSamples(func(string) string { return bad })
	}
	variants["long"] = gateSamples(func(string) string { return strings.Repeat("Donaudampfschifffahrt", 12) })
	b := newTab(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/assets/") {
			u.Assets().ServeHTTP(w, r)
			return
		}
		variant, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		for _, s := range variants[variant] {
			if s.name == name {
				u.Page(w, r, http.StatusOK, s.page, s.data)
				return
			}
		}
		http.NotFound(w, r)
	}))
	widths := []int64{320, 390, 768, 1280, 1600}
	for variant, samples := range variants {
		for _, s := range samples {
			b.do(chromedp.Navigate(gateURL + "/" + variant + "/" + s.name))
			for _, width := range widths {
				if variant != "plain" && variant != "long" && width != 320 {
					continue
				}
				b.do(chromedp.EmulateViewport(width, 900))
				if wide := evaluate[float64](b, `document.documentElement.scrollWidth`); wide > float64(width) {
					t.Errorf("%s/%s is %v pixels wide on a screen of %d", variant, s.name, wide, width)
				}
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		// The sample's QR code is served by the gate only, and a picture in an
		// agreement is stopped on purpose.
		if !strings.Contains(c, "https://evil.example/p.png") {
			t.Errorf("the browser complains: %s", c)
		}
	}
}
