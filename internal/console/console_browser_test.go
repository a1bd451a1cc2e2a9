package console

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/ringfence/ringfence/auth"
)

// signedIn serves the office to a browser that is signed in as who says.
func (o *office) signedIn(who *atomic.Value) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Cookie")
		r.AddCookie(&http.Cookie{Name: auth.SessionCookie, Value: o.cookies[who.Load().(string)]})
		o.Gate().ServeHTTP(w, r)
	})
}

// TestBrowser_ConsoleFitsAndStaysInert opens every page of the console, with
// ordinary, long and hostile text, on a phone and on a desk: nothing runs,
// nothing is stopped by the content security policy, and no page needs
// scrolling sideways.
func TestBrowser_ConsoleFitsAndStaysInert(t *testing.T) {
	var who atomic.Value
	var now atomic.Pointer[office]
	b := newTab(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { now.Load().signedIn(&who).ServeHTTP(w, r) }))
	variants := map[string]sampleText{"plain": plainText, "long": func(string) string { return strings.Repeat("Donaudampfschifffahrt", 5) }}
	for i, bad := range hostile {
		variants[fmt.Sprint("hostile", i)] = func(string) string { return bad }
	}
	for variant, say := range variants {
		now.Store(newOffice(t, say))
		widths := []int64{320, 390, 1280}
		if strings.HasPrefix(variant, "hostile") {
			widths = widths[:1]
		}
		for _, p := range deskPages {
			if len(widths) == 1 && !strings.Contains("overview person vendor cluster-edit engagement assignment log entry log-fault", p.name) {
				continue // hostile text stands on each of these in every part that others use
			}
			who.Store(p.as)
			b.do(chromedp.Navigate(officeGate + p.target))
			for _, width := range widths {
				b.do(chromedp.EmulateViewport(width, 900))
				if wide := evaluate[float64](b, `document.documentElement.scrollWidth`); wide > float64(width) {
					t.Errorf("%s of %s is %v pixels wide on a screen of %d", p.name, variant, wide, width)
				}
				if variant == "plain" && width == 390 {
					b.picture(p.name + "-390")
				}
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		// A picture in an agreement is stopped on purpose.
		if !strings.Contains(c, "https://evil.example/p.png") {
			t.Errorf("the browser complains: %s", c)
		}
	}
}

// TestBrowser_AdministratorByKeyboard disables an account with the keyboard
// alone, after the page that says what that cuts.
func TestBrowser_AdministratorByKeyboard(t *testing.T) {
	o := newOffice(t, plainText)
	var who atomic.Value
	who.Store("ada")
	b := newTab(t, o.signedIn(&who))
	b.do(chromedp.Navigate(officeGate + "/console/people?text=kim"))
	b.sees("Kim Larsen")
	b.do(chromedp.Focus(`tbody a`), chromedp.KeyEvent(kb.Enter))
	b.sees("Latest in the access log")
	b.do(chromedp.Focus(`a[href$="/disable"]`), chromedp.KeyEvent(kb.Enter))
	b.sees("1 session will end at once")
	b.do(chromedp.Focus(`.ask form button`), chromedp.KeyEvent(kb.Enter))
	b.sees("kim@example.com is disabled.")
	b.quiet()
	if a := find(o.dir.d.Accounts, accountWithID("kim")); !a.Disabled {
		t.Error("the account is not disabled")
	}
}
