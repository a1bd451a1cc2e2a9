package console

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/change/changetest"
)

// TestBrowser_PolicyPages leaves pictures of the pages of change control, on a
// desk and on a phone, in light and in dark.
func TestBrowser_PolicyPages(t *testing.T) {
	o := newOffice(t, plainText)
	var who atomic.Value
	b := newTab(t, o.signedIn(&who))
	for _, p := range deskPages {
		if !strings.Contains(p.target, "/policies") {
			continue
		}
		who.Store(p.as)
		for _, scheme := range []string{"light", "dark"} {
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
			if _, err := chromedp.Call(b.Context, emulation.SetEmulatedMedia, media); err != nil {
				t.Fatal(err)
			}
			b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(officeGate+p.target))
			b.picture(p.name + "-" + scheme)
		}
		b.do(chromedp.EmulateViewport(390, 800), chromedp.Navigate(officeGate+p.target))
		b.picture(p.name + "-phone")
	}
	b.quiet()
}

// counted counts what a person does in the browser: each press and each thing typed.
type counted struct {
	*tab
	n int
}

func (s *counted) press(selector, then string) {
	s.t.Helper()
	s.n++
	s.do(chromedp.Focus(selector), chromedp.KeyEvent(kb.Enter))
	s.sees(then)
}

func (s *counted) code(code, then string) {
	s.t.Helper()
	s.n++
	s.do(chromedp.Focus(`input[name=code]`), chromedp.KeyEvent(code+kb.Enter))
	s.sees(then)
}

// From a written draft to the revision in force there are few steps for the
// administrator and few for the approver, codes that have grown old included:
// at ten seconds for each, both are done in less than two minutes.
func TestBrowser_DraftToRevision(t *testing.T) {
	w := newWorld(t).enrolled("ada", "abe")
	m := w.Changes.(*changetest.Memory)
	m.Now = w.clock
	d, err := m.Begin(t.Context(), officeActor("ada"), "Close the exports", "The migration ended.")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = m.Save(t.Context(), officeActor("ada"), d.ID, d.Version, change.Edit{Write: map[string]string{"clusters/claims/exports.rego": noExports}}); err != nil {
		t.Fatal(err)
	}
	b := newTab(t, w)
	signIn := func(id string) *counted {
		b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(gateURL+"/login"), chromedp.Focus(`input[name=email]`), chromedp.KeyEvent(id+"@example.com"+kb.Tab+password+kb.Enter))
		b.sees("Your code")
		b.do(chromedp.KeyEvent(w.code(id) + kb.Enter))
		b.sees("Overview")
		w.pass(20 * time.Minute) // the code has grown old
		return &counted{tab: b}
	}

	ada := signIn("ada")
	ada.press(`nav a[href="/console/policies"]`, "Close the exports")
	ada.press(`tbody a[href$="/drafts/1"]`, "Being written")
	ada.press(`form[action$="/submit"] button`, "Confirm that it is you")
	ada.code(w.code("ada"), "Hand the draft to review?")
	ada.press(`main form button`, "It is handed to review. The second person could be Abe Novak.")
	b.sees("It waits for a second person")
	b.picture("handed-over")
	b.do(chromedp.Focus("header button"), chromedp.KeyEvent(kb.Enter))
	b.sees("You are signed out")

	abe := signIn("abe")
	abe.press(`.attention a[href$="/drafts/1"]`, "It waits for you")
	abe.press(`form[action$="/approve"] button`, "Confirm that it is you")
	abe.code(w.code("abe"), "Approve and publish the draft?")
	abe.press(`main form button`, "Revision 1 is published and in force.")
	b.picture("published")
	b.quiet()
	t.Logf("%d steps for the administrator, %d for the approver", ada.n, abe.n)
	if ada.n > 6 || abe.n > 6 {
		t.Errorf("%d steps for the administrator and %d for the approver, want at most 6 each", ada.n, abe.n)
	}
	if r, err := m.Revision(t.Context(), 1); err != nil || r.Approver.Account != "abe" || r.Modules["clusters/claims/exports.rego"] != noExports {
		t.Errorf("revision 1 is %+v, %v", r, err)
	}
}
